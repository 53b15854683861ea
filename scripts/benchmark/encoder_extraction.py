"""All hidden states of waveforms: against HuBERT base, and in bfloat16 against float32; the latter in training, too."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmpt.scripts.benchmark import encoder_steps
from mmpt.scripts.benchmark.timing import in_turn, ratios, spread
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

if TYPE_CHECKING:
    from transformers import HubertConfig

LENGTHS_S = (16.0, 15.0, 14.0, 13.0, 12.0, 8.0, 5.0, 3.0)
CPU = torch.device("cpu")


def waveforms() -> list[Tensor]:
    """Return waveforms of noise, (samples,) each."""
    return [0.1 * torch.randn(int(SAMPLE_RATE * n)) for n in LENGTHS_S]


@torch.no_grad()
def extraction(preset: str, rounds: int) -> None:
    """Compare with HuBERT base.

    It takes the batch with padding, which changes its states, or one waveform after the other.
    """
    from transformers import HubertConfig

    wavs = waveforms()
    calls = calls_of(preset, HubertConfig(), wavs)
    times = in_turn(calls, rounds, CPU, "extraction")
    print(f"\nextraction: all hidden states of {len(wavs)} waveforms of {', '.join(f'{n:g}' for n in LENGTHS_S)} s")
    for name, text in (("hubert", "in one padded batch"), ("one by one", "one by one, without padding")):
        print(f"  HuBERT base {text} takes {spread(ratios(times[name], times['ours']))} times as long")
    for name, each in times.items():
        print(f"    {name:<11} {spread([len(wavs) / t for t in each])} utterances/s")


def calls_of(preset: str, hubert_config: "HubertConfig", wavs: list[Tensor]) -> dict[str, Callable]:
    """Return the contenders: ours, HuBERT on the padded batch, and HuBERT on one waveform after the other."""
    from transformers import HubertModel

    device = wavs[0].device
    ours, hubert = Encoder(EncoderConfig.preset(preset)).eval(), HubertModel(hubert_config).eval()
    ours.to(device), hubert.to(device)
    longest = max(map(len, wavs))
    padded = torch.stack([torch.nn.functional.pad(wav, (0, longest - len(wav))) for wav in wavs])
    valid = torch.stack([torch.arange(longest, device=device) < len(wav) for wav in wavs]).long()
    return {
        "ours": lambda: ours(wavs),
        "hubert": lambda: hubert(padded, attention_mask=valid, output_hidden_states=True),
        "one by one": lambda: [hubert(wav[None], output_hidden_states=True) for wav in wavs],
    }


def half(preset: str, rounds: int) -> None:
    """Measure what bfloat16 gains here, and how far it moves the states, whose layers have a deviation near 1."""
    wavs, encoder = waveforms(), Encoder(EncoderConfig.preset(preset)).eval()

    @torch.no_grad()
    def states(half: bool) -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return [layer.float() for layer in encoder(wavs).hidden_states]

    times = in_turn({"float32": lambda: states(False), "bfloat16": lambda: states(True)}, rounds, CPU, "half")
    moved = max((a - b).abs().max().item() for a, b in zip(states(True), states(False)))
    print("\nhalf: all hidden states of the same waveforms in bfloat16")
    slower = spread(ratios(times["float32"], times["bfloat16"]))
    print(f"  float32 takes {slower} times as long; a state moves by {moved:.3f} at most")
    feats = [torch.randn(n, encoder.config.n_mels) for n in encoder_steps.BATCHES["ragged"]]
    steps = {
        dtype: encoder_steps.steps_on(encoder, feats, training=True, dtype=dtype) for dtype in ("float32", "bfloat16")
    }
    times = in_turn(steps, rounds, CPU, "half, training")
    slower = spread(ratios(times["float32"], times["bfloat16"]))
    print(f"  forward + backward, training, on the ragged batch: float32 takes {slower} times as long")
