"""The share of the encoder's work on a batch that padding takes: operations counted, not timed."""

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmpt.scripts.benchmark.encoder_peer import Peer, last_states
from mmpt.scripts.benchmark.translation_peer import utterances
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.operations import operation_counter

UTTERANCES = 16


def padding(preset: str) -> None:
    """Print the operations of a batch beyond those of its utterances one by one."""
    feats = [one.feats for one in utterances(UTTERANCES, vocabulary=50)]
    frames = sorted(map(len, feats))
    seconds = f"{frames[0] / 100:.1f} to {frames[-1] / 100:.1f} s"
    print(f"\npadding: {UTTERANCES} utterances of LibriSpeech-like lengths, {seconds}")
    config = EncoderConfig.preset(preset)
    for name, model in (("ours", Encoder(config).eval()), ("torchaudio", Peer(config).eval())):
        print(f"  {name:<11} {waste_percent(model, feats):.1f} % more operations in one batch than one by one")


def waste_percent(model: torch.nn.Module, feats: list[Tensor]) -> float:
    """Return what a batch's padding adds to the operations of the utterances in it."""
    alone = sum(operations(model, [one]) for one in feats)
    return 100 * (operations(model, feats) / alone - 1)


@torch.no_grad()
def operations(model: torch.nn.Module, feats: list[Tensor]) -> int:
    """Count the operations of matrix products, convolutions and attention, as PyTorch does."""
    # Attention as plain products: not all of its faster forms are counted.
    with sdpa_kernel(SDPBackend.MATH), operation_counter() as counter:
        last_states(model, feats)
    return counter.get_total_flops()
