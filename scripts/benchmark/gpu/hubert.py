"""All hidden states of waveforms: the encoder against HuBERT base of transformers, with random weights."""

import statistics
from typing import Any

import torch

from mmpt.scripts.benchmark import encoder_extraction
from mmpt.scripts.benchmark.gpu.check import Check, NotHere
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.scripts.benchmark.timing import alternate, ratios
from mmpt.upstream.mmpt_av.precision import computing_in

REPEATED = 2  # the benchmark's waveforms
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


@torch.no_grad()
def measure(part: str, check: Check) -> Figures:
    """Return utterances a second of both, in one batch and one by one, in a precision."""
    try:
        from transformers import HubertConfig
    except ImportError:
        raise NotHere("transformers is not installed") from None
    wavs = encoder_extraction.waveforms() * REPEATED
    if check.small:
        wavs = [wav[: len(wav) // 20] for wav in wavs[:3]]
    config = HubertConfig(**SMALL) if check.small else HubertConfig()
    calls = encoder_extraction.calls_of(check.preset, config, [wav.to(check.device) for wav in wavs])
    with computing_in(part, check.device):
        times = alternate(calls, check.rounds(), check.device, warm_up=2)
    rates = {f"{name.replace(' ', '_')}_per_s": len(wavs) / statistics.median(each) for name, each in times.items()}
    return {
        "utterances": len(wavs),
        "seconds_of_speech": sum(map(len, wavs)) / 16000,
        "hubert_over_ours": statistics.median(ratios(times["hubert"], times["ours"])),
        "hubert_one_by_one_over_ours": statistics.median(ratios(times["one by one"], times["ours"])),
        **rates,
        "rounds": len(times["ours"]),
    }
