"""An encoder's parameters and MACs by SUPERB's official recipe: 32 utterances one at a time, in four buckets of length."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from mmpt.upstream.command import clean_exit
from mmpt.upstream.files import write_text
from mmpt.upstream.mmpt_av import load_encoder

# Samples of the 32 utterances of LibriSpeech test-clean that the recipe names (length ranks 82 i + 1).
LENGTHS = {
    "short": (20560, 34560, 38480, 42560, 45600, 48720, 52000, 55120),
    "medium": (59120, 62720, 66400, 71200, 75200, 78640, 82800, 87520),
    "long": (92720, 98560, 104400, 111120, 118480, 125040, 132720, 142640),
    "longer": (154000, 166720, 180880, 197920, 217920, 239280, 268160, 326000),
}
SECONDS = sum(map(sum, LENGTHS.values())) / 16000
BAR = "{l_bar}{bar}| {n:.0f}/{total:.0f} s of sound [{elapsed}<{remaining}]"
EXAMPLES = """\
examples:
  python scripts/superb/cost.py runs/quickstart/midtrained/encoder.pt
  python scripts/superb/cost.py encoder.pt --json cost.json
  python scripts/superb/cost.py --hubert-base            the check: an untrained HuBERT base of transformers, whose MACs the board knows

MACs are those of matrix products and convolutions as PyTorch runs them (torch.utils.flop_counter, which counts each as two
operations); FFTs and element-wise arithmetic are left out, as in the official recipe. The waveforms are noise of the official lengths:
a count hangs on lengths alone.
"""


@dataclass(frozen=True)
class Cost:
    """parameters: all of them, used or not. macs: bucket → MACs summed over its eight utterances."""

    parameters: int
    macs: dict[str, int]

    @property
    def total(self) -> int:
        """MACs of all 32 utterances."""
        return sum(self.macs.values())


def measure(model: nn.Module, forward: Callable[[Tensor], object]) -> Cost:
    """Counts what `forward` computes for waveforms of the official lengths.

    Args:
        model: whose parameters count. forward: takes one waveform, (samples,), on the CPU.
    """
    model.eval()
    generator, macs = torch.Generator().manual_seed(0), {}
    with tqdm(total=SECONDS, desc="MACs", leave=False, bar_format=BAR) as bar:
        for bucket, lengths in LENGTHS.items():
            macs[bucket] = 0
            for samples in lengths:
                wav = 0.1 * torch.randn(samples, generator=generator)
                # The counter knows no formula for attention fused on a CPU; unfused, it is two matrix products.
                with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
                    forward(wav)
                macs[bucket] += counter.get_total_flops() // 2
                bar.update(samples / 16000)
    return Cost(sum(p.numel() for p in model.parameters()), macs)


def encoder_cost(checkpoint: Path) -> Cost:
    """The cost of an encoder checkpoint. Raises CheckpointError where it cannot be read."""
    encoder = load_encoder(checkpoint)
    return measure(encoder, lambda wav: encoder([wav]))


def hubert_base() -> Cost:
    """HuBERT base with random weights, as transformers builds it."""
    from transformers import HubertConfig, HubertModel

    model = HubertModel(HubertConfig())
    return measure(model, lambda wav: model(wav[None]))


def show(cost: Cost) -> str:
    """The figures for a person."""
    speed = f"{SECONDS:.1f} s of sound, {cost.total / SECONDS / 1e9:.3f} GMAC a second"
    lines = [f"parameters        {cost.parameters:>22,}", f"MACs, 32 utterances{cost.total:>21,}   ({speed})"]
    return "\n".join([*lines, *(f"  {bucket:<16}{macs:>22,}" for bucket, macs in cost.macs.items())])


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("checkpoint", nargs="?", type=Path, metavar="encoder.pt", help="an encoder checkpoint")
    what.add_argument("--hubert-base", action="store_true", help="measure transformers' HuBERT base in its place")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Measures and prints; returns the exit status."""
    arguments = parser().parse_args(argv)
    cost = hubert_base() if arguments.hubert_base else encoder_cost(arguments.checkpoint)
    print(show(cost))
    if arguments.json:
        write_text(
            arguments.json,
            json.dumps({"parameters": cost.parameters, "macs": cost.macs, "macs_total": cost.total}, indent=2) + "\n",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
