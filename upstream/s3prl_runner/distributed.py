"""Repairs that let S3PRL's runner train under `torchrun`: on CPUs at all, and to the end.

They are applied only if a local rank is set. Each function names the line of s3prl 0.4.18 that it serves.
"""

from __future__ import annotations


def repair() -> None:
    """Apply all three repairs in this process; this imports S3PRL's runner."""
    repair_set_device()
    repair_wrapper()
    repair_progress()


def repair_set_device() -> None:
    """Let `torch.cuda.set_device` do nothing without a GPU, where it fails. Serves s3prl/run_downstream.py:167."""
    import torch

    if not torch.cuda.is_available():
        vars(torch.cuda)["set_device"] = lambda device: None


def repair_wrapper() -> None:
    """Call DDP on CPUs without `device_ids`, and anywhere without broadcast of buffers.

    Serves s3prl/downstream/runner.py:113. A broadcast before each forward pass is one more collective: the leader runs
    its last evaluation alone, and would wait there for ranks that have ended.
    """
    import s3prl.downstream.runner as runner
    import torch

    class Wrapper(torch.nn.parallel.DistributedDataParallel):
        def __init__(self, module, device_ids=None, **kwargs):
            on_cpu = all(parameter.device.type == "cpu" for parameter in module.parameters())
            super().__init__(module, None if on_cpu else device_ids, broadcast_buffers=False, **kwargs)

    runner.DDP = Wrapper


def repair_progress() -> None:
    """Advance the progress bar on ranks above 0, where it never moves and so never ends the training.

    Serves s3prl/downstream/runner.py:360. The runner clips the gradient exactly once a step (:343), and only the leader
    then reaches `pbar.update(1)`. On the other ranks the clipping advances the bar.
    """
    import s3prl.downstream.runner as runner
    import torch

    overall: list = []

    def remember(*args, desc=None, **kwargs):
        bar = tqdm(*args, desc=desc, **kwargs)
        if desc == "overall":
            overall[:] = [bar]
        return bar

    def clip(*args, **kwargs):
        norm = clip_grad_norm_(*args, **kwargs)
        if not runner.is_leader_process():
            overall[0].update(1)
        return norm

    tqdm, clip_grad_norm_ = runner.tqdm, torch.nn.utils.clip_grad_norm_
    vars(remember)["write"] = tqdm.write
    runner.tqdm = remember
    vars(torch.nn.utils)["clip_grad_norm_"] = clip
