"""What `torchrun` needs to get S3PRL's runner through a training: on CPUs at all, and to its end.

Each function names the line of s3prl 0.4.18 that it serves. Applied only where a local rank is set.
"""

from __future__ import annotations


def repair() -> None:
    """Mend distributed training in this process; S3PRL's runner is imported by it."""
    repair_set_device()
    repair_wrapper()
    repair_progress()


def repair_set_device() -> None:
    """Without a GPU `torch.cuda.set_device` fails: make it a no-op. Serves s3prl/run_downstream.py:167."""
    import torch

    if not torch.cuda.is_available():
        torch.cuda.set_device = lambda device: None


def repair_wrapper() -> None:
    """DDP on CPUs takes no `device_ids`, and must not broadcast buffers. Serves s3prl/downstream/runner.py:113.

    A broadcast of buffers before each forward is one more collective: the leader's last evaluation, which it runs
    alone, would wait in it for ranks that have ended.
    """
    import s3prl.downstream.runner as runner
    import torch

    class Wrapper(torch.nn.parallel.DistributedDataParallel):
        def __init__(self, module, device_ids=None, **kwargs):
            on_cpu = all(parameter.device.type == "cpu" for parameter in module.parameters())
            super().__init__(module, None if on_cpu else device_ids, broadcast_buffers=False, **kwargs)

    runner.DDP = Wrapper


def repair_progress() -> None:
    """Ranks above 0 never advance the bar that ends the training: advance it. Serves s3prl/downstream/runner.py:360.

    The runner clips the gradient exactly once a step (:343), after which only the leader reaches its
    `pbar.update(1)`; so on the other ranks the clipping moves the bar on.
    """
    import s3prl.downstream.runner as runner
    import torch

    overall = []

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
    remember.write = tqdm.write
    runner.tqdm = remember
    torch.nn.utils.clip_grad_norm_ = clip
