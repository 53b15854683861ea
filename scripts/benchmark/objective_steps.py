"""Training steps of stage 1's objectives, timed on clips of noise."""

import argparse
import statistics

import torch

from mmpt.pretrain.masking import draw_masks
from mmpt.pretrain.model import build_model
from mmpt.pretrain.settings import PretrainSettings
from mmpt.pretrain.tubelets import mean_tubelets
from mmpt.scripts.benchmark.timing import product_rate, seconds
from mmpt.training.device import autocast, use_device, uses_bfloat16
from mmpt.training.distributed import Counts
from mmpt.training.half_weights import half_weights
from mmpt.training.optimizer import make_optimizer
from mmpt.training.settings import load_settings
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.mmpt_av.layout import Layout
from mmpt.upstream.mmpt_av.recompute import checkpoint_blocks
from mmpt.upstream.operations import operation_counter
from mmpt.upstream.progress import Progress

SHORTEST, LONGEST = 2 * SAMPLE_RATE, 10 * SAMPLE_RATE  # samples of a clip
# The decoder sees as many tokens as if some were dropped.
ALL_TOKENS = ["masked.audio_share=0", "masked.video_share=0", "masked.loss_on=all"]


class Step:
    """The training step of one objective: forward, backward, clipping, optimiser."""

    def __init__(self, arguments: argparse.Namespace, overrides: list[str]):
        settings = load_settings(PretrainSettings, arguments.config, [*arguments.overrides, *overrides])
        self.settings, self.device = settings, use_device(settings.device)
        self.model = build_model(settings).to(self.device).train()
        self.optimizer = make_optimizer(self.model, settings.optim)
        self.half_weights = half_weights(self.model, settings, self.device)
        checkpoint_blocks(self.model, settings.optim.checkpoint_blocks)
        if arguments.compile:
            self.model.compile_blocks()
        self.batch = arguments.batch
        generator = torch.Generator().manual_seed(0)
        video = settings.video
        pictures = torch.randint(
            0, 256, (self.batch, 3, video.frames, video.size, video.size), dtype=torch.uint8, generator=generator
        )
        self.video = mean_tubelets(pictures, video) if settings.needs_only_tubelet_means else pictures
        self.video = self.video.to(self.device)
        shortest = SHORTEST if arguments.ragged else LONGEST
        samples = torch.randint(shortest, LONGEST + 1, (self.batch,), generator=generator).tolist()
        layout = Layout(samples).prepare()
        wavs = [0.1 * torch.randn(n, generator=generator) for n in samples]
        self.joined, self.layout = layout.join(wavs).to(self.device), layout.to(self.device)
        self.counts, self.masks = {"clips": self.batch}, None
        if "audio" in self.model.losses:  # in training, the processes that read clips draw the masks
            names = [str(i) for i in range(self.batch)]
            self.masks = draw_masks(settings.masked, 0, 0, names, samples, video.tokens)
            self.counts |= {"audio_frames": len(self.masks.audio_wanted), "video_tubelets": self.masks.video_wanted}
            self.masks = self.masks.prepare().to(self.device)
        self.seconds: list[float] = []

    def __call__(self) -> None:
        with self.half_weights.used():
            with autocast(self.settings, self.device):
                feats = self.model.encoder.filterbank.packed(self.joined, self.layout)
                loss = self.model(feats, self.layout.frames, self.video, self.masks, Counts([self.counts]))["loss"]
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.optim.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def timed(self) -> None:
        """Do a step and keep its time."""
        self.seconds.append(seconds(self, self.device))

    @property
    def clips_per_s(self) -> float:
        """The rate of the median step."""
        return self.batch / statistics.median(self.seconds)


def flops_a_clip(step: Step) -> float:
    """Count a step's floating-point operations for each clip: twice its multiplications, forward and backward."""
    with torch.compiler.set_stance("force_eager"), operation_counter() as counter:
        step()
    return counter.get_total_flops() / step.batch


def compare_with_all_tokens(arguments: argparse.Namespace) -> None:
    """Compare dropped with all tokens, in turn."""
    dropped, everything = Step(arguments, ["objective=mae"]), Step(arguments, ["objective=mae", *ALL_TOKENS])
    flops = flops_a_clip(dropped), flops_a_clip(everything)  # and warm-up
    for _ in Progress(range(arguments.steps), unit="pair", desc="MAE, dropped and all tokens", dynamic_ncols=True):
        dropped.timed()
        everything.timed()
    ratios = sorted(slow / fast for fast, slow in zip(dropped.seconds, everything.seconds))
    print(
        f"MAE, {arguments.batch} clips a step on {dropped.device}: "
        f"dropped tokens {dropped.clips_per_s:.3g} clips/s ({flops[0] / 1e9:.0f} GFLOP a clip), "
        f"all tokens {everything.clips_per_s:.3g} clips/s ({flops[1] / 1e9:.0f} GFLOP)"
    )
    print(
        f"ratio {statistics.median(ratios):.2f} (pairs {ratios[0]:.2f} to {ratios[-1]:.2f}); "
        f"arithmetic alone {flops[1] / flops[0]:.2f}"
    )


def report_objective(arguments: argparse.Namespace, objective: str) -> None:
    """Print rate, arithmetic and memory of one objective."""
    step = Step(arguments, [f"objective={objective}"])
    flops = flops_a_clip(step)
    memory = ""
    if step.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(step.device)
        held = torch.cuda.memory_allocated(step.device)
        step()
        needed = torch.cuda.max_memory_allocated(step.device) - held
        memory = f", {needed / step.batch / 1e6:.0f} MB a clip"
    else:
        step()
    for _ in Progress(range(arguments.steps), unit="step", desc=objective, dynamic_ncols=True):
        step.timed()
    rate = product_rate(step.device, uses_bfloat16(step.settings, step.device))
    spread = f"{step.batch / max(step.seconds):.3g} to {step.batch / min(step.seconds):.3g}"
    print(
        f"{objective}: {step.clips_per_s:.3g} clips/s ({spread}), {flops / 1e9:.0f} GFLOP a clip, "
        f"{100 * flops * step.clips_per_s / rate:.0f} % of {rate / 1e12:.3g} TFLOP/s{memory}"
    )
