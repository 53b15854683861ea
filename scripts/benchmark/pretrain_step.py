"""Times a training step of stage 1 on clips of noise, 10 s each: the masked objective with dropped tokens against the same model
encoding all tokens, step by step in turn in one process; then each objective by itself, with its arithmetic and memory.
"""

import argparse
import statistics
import sys
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from mmpt.pretrain.masking import draw_masks
from mmpt.pretrain.model import AudioVisualModel, build_model
from mmpt.pretrain.settings import OBJECTIVES, PretrainSettings
from mmpt.scripts.benchmark.timing import product_rate, seconds
from mmpt.training.device import autocast, use_device, uses_bfloat16
from mmpt.training.distributed import Counts
from mmpt.training.optimizer import make_optimizer
from mmpt.training.settings import load_settings
from mmpt.upstream.command import clean_exit
from mmpt.upstream.repository import REPOSITORY

SAMPLES = 160_000  # 10 s
ALL_TOKENS = [
    "masked.audio_share=0",
    "masked.video_share=0",
    "masked.loss_on=all",
]  # the decoder sees as many tokens either way

EXAMPLES = """\
examples:
  python scripts/benchmark/pretrain_step.py                          config paper, 2 clips a step, on the CPU some ten minutes
  python scripts/benchmark/pretrain_step.py --batch 64 --steps 20    on a GPU (bfloat16)
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--config",
        type=Path,
        default=REPOSITORY / "pretrain/configs/paper.yaml",
        metavar="YAML",
        help="(default: paper.yaml)",
    )
    p.add_argument("--batch", type=int, default=2, help="clips a step (default: %(default)s)")
    p.add_argument(
        "--steps", type=int, default=5, help="timed steps of each, after one that is not (default: %(default)s)"
    )
    p.add_argument("--threads", type=int, default=2, help="of the processor (default: %(default)s)")
    p.add_argument("--compile", action="store_true", help="with torch.compile")
    p.add_argument("overrides", nargs="*", metavar="NAME=VALUE", help="settings that override the config's")
    return p


class Step:
    """One objective's training step: forward, backward, clipping, optimiser."""

    def __init__(self, arguments: argparse.Namespace, overrides: list[str]):
        settings = load_settings(PretrainSettings, arguments.config, [*arguments.overrides, *overrides])
        self.settings, self.device = settings, use_device(settings.device)
        self.model: AudioVisualModel = build_model(settings).to(self.device).train()
        self.optimizer = make_optimizer(self.model, settings.optim)
        if arguments.compile:
            self.model.compile_blocks()
        self.batch = arguments.batch
        generator = torch.Generator().manual_seed(0)
        video = settings.video
        self.video = torch.randint(
            0, 256, (self.batch, 3, video.frames, video.size, video.size), dtype=torch.uint8, generator=generator
        ).to(self.device)
        self.wavs = [0.1 * torch.randn(SAMPLES, generator=generator).to(self.device) for _ in range(self.batch)]
        self.counts, self.masks = {"clips": self.batch}, None
        if "audio" in self.model.losses:  # in training the processes that read clips draw them
            self.masks = draw_masks(
                settings.masked, 0, 0, [str(i) for i in range(self.batch)], [SAMPLES] * self.batch, video.tokens
            )
            self.counts |= {"audio_frames": len(self.masks.audio_wanted), "video_tubelets": self.masks.video_wanted}
            self.masks = self.masks.to(self.device)
        self.seconds: list[float] = []

    def __call__(self) -> None:
        with autocast(self.settings, self.device):
            feats, _ = self.model.encoder.filterbank(self.wavs)
            loss = self.model(list(feats), self.video, self.masks, Counts([self.counts]))["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.optim.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def timed(self) -> None:
        """A step, its time kept."""
        self.seconds.append(seconds(self, self.device))

    @property
    def clips_per_s(self) -> float:
        """By the median step."""
        return self.batch / statistics.median(self.seconds)


def flops_a_clip(step: Step) -> float:
    """Floating-point operations of a step, for each clip: twice the multiplications, forward and backward."""
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / step.batch


def compare_with_all_tokens(arguments: argparse.Namespace) -> None:
    """Dropped against all tokens, in turn."""
    dropped, everything = Step(arguments, ["objective=mae"]), Step(arguments, ["objective=mae", *ALL_TOKENS])
    flops = flops_a_clip(dropped), flops_a_clip(everything)  # and warm-up
    for _ in tqdm(range(arguments.steps), unit="pair", desc="MAE, dropped and all tokens", dynamic_ncols=True):
        dropped.timed()
        everything.timed()
    ratios = sorted(slow / fast for fast, slow in zip(dropped.seconds, everything.seconds))
    print(
        f"MAE, {arguments.batch} clips a step on {dropped.device}: dropped tokens {dropped.clips_per_s:.3g} clips/s ({flops[0] / 1e9:.0f} GFLOP a clip), "
        f"all tokens {everything.clips_per_s:.3g} clips/s ({flops[1] / 1e9:.0f} GFLOP)"
    )
    print(
        f"ratio {statistics.median(ratios):.2f} (pairs {ratios[0]:.2f} to {ratios[-1]:.2f}); arithmetic alone {flops[1] / flops[0]:.2f}"
    )


def report_objective(arguments: argparse.Namespace, objective: str) -> None:
    """Rate, arithmetic and memory of one objective."""
    step = Step(arguments, [f"objective={objective}"])
    cuda = step.device.type == "cuda"
    flops = flops_a_clip(step)
    if cuda:
        torch.cuda.reset_peak_memory_stats(step.device)
        held = torch.cuda.memory_allocated(step.device)
    step()
    memory = (
        f", {(torch.cuda.max_memory_allocated(step.device) - held) / step.batch / 1e6:.0f} MB a clip" if cuda else ""
    )
    for _ in tqdm(range(arguments.steps), unit="step", desc=objective, dynamic_ncols=True):
        step.timed()
    rate = product_rate(step.device, uses_bfloat16(step.settings, step.device))
    spread = f"{step.batch / max(step.seconds):.3g} to {step.batch / min(step.seconds):.3g}"
    print(
        f"{objective}: {step.clips_per_s:.3g} clips/s ({spread}), {flops / 1e9:.0f} GFLOP a clip, "
        f"{100 * flops * step.clips_per_s / rate:.0f} % of {rate / 1e12:.3g} TFLOP/s{memory}"
    )


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    arguments = parser().parse_intermixed_args(argv)
    torch.set_num_threads(arguments.threads)
    compare_with_all_tokens(arguments)
    for objective in OBJECTIVES:
        report_objective(arguments, objective)
    return 0


if __name__ == "__main__":
    sys.exit(main())
