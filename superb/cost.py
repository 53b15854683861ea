"""An encoder's parameters and MACs by SUPERB's official recipe: 32 utterances one at a time, in four buckets of length.

MACs are those of matrix products and convolutions as PyTorch runs them (torch.utils.flop_counter, which counts each as
two operations). FFTs and element-wise arithmetic are left out, as in the official recipe. The waveforms are noise: a
count depends on lengths alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmpt.upstream.mmpt_av import load_encoder
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.operations import operation_counter
from mmpt.upstream.progress import Progress

# Samples of the 32 utterances of LibriSpeech test-clean that the recipe names (length ranks 82 i + 1).
LENGTHS = {
    "short": (20560, 34560, 38480, 42560, 45600, 48720, 52000, 55120),
    "medium": (59120, 62720, 66400, 71200, 75200, 78640, 82800, 87520),
    "long": (92720, 98560, 104400, 111120, 118480, 125040, 132720, 142640),
    "longer": (154000, 166720, 180880, 197920, 217920, 239280, 268160, 326000),
}
SECONDS = sum(map(sum, LENGTHS.values())) / SAMPLE_RATE
BAR = "{l_bar}{bar}| {n:.0f}/{total:.0f} s of sound [{elapsed}<{remaining}]"


@dataclass(frozen=True)
class Cost:
    """The size of an encoder and its operations.

    Attributes:
        parameters: all of them, used or not.
        macs: bucket → MACs summed over its eight utterances.
    """

    parameters: int
    macs: dict[str, int]

    @property
    def total(self) -> int:
        """MACs of all 32 utterances."""
        return sum(self.macs.values())


def measure(model: nn.Module, forward: Callable[[Tensor], object]) -> Cost:
    """Count what `forward` computes for waveforms of the official lengths.

    Args:
        model: whose parameters count.
        forward: takes one waveform, (samples,), on the CPU.
    """
    model.eval()
    generator, macs = torch.Generator().manual_seed(0), {}
    with Progress(total=SECONDS, desc="MACs", leave=False, bar_format=BAR) as bar:
        for bucket, lengths in LENGTHS.items():
            macs[bucket] = 0
            for samples in lengths:
                wav = 0.1 * torch.randn(samples, generator=generator)
                # The counter knows no formula for attention fused on a CPU; unfused, it is two matrix products.
                with operation_counter() as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
                    forward(wav)
                macs[bucket] += counter.get_total_flops() // 2
                bar.update(samples / SAMPLE_RATE)
    return Cost(sum(p.numel() for p in model.parameters()), macs)


def encoder_cost(checkpoint: Path) -> Cost:
    """Measure an encoder checkpoint. Raises CheckpointError if it cannot be read."""
    encoder = load_encoder(checkpoint)
    return measure(encoder, lambda wav: encoder([wav]))


def upstream_cost(upstream: nn.Module) -> Cost:
    """Measure an encoder behind S3PRL's upstream interface."""
    return measure(upstream, lambda wav: upstream([wav]))


def hubert_base() -> Cost:
    """Measure HuBERT base as transformers builds it, without computing: a count depends on shapes alone."""
    from transformers import HubertConfig, HubertModel

    with torch.device("meta"):
        model = HubertModel(HubertConfig())
    return measure(model, lambda wav: model(wav[None].to("meta")))


def describe_cost(cost: Cost) -> str:
    """Return the figures for a person."""
    speed = f"{SECONDS:.1f} s of sound, {cost.total / SECONDS / 1e9:.3f} GMAC a second"
    lines = [f"parameters        {cost.parameters:>22,}", f"MACs, 32 utterances{cost.total:>21,}   ({speed})"]
    return "\n".join([*lines, *(f"  {bucket:<16}{macs:>22,}" for bucket, macs in cost.macs.items())])
