"""The encoder against torchaudio's Conformer, both compiled and under the same autocast, in turn in one process."""

import statistics
from functools import cache
from itertools import cycle, islice

import torch

from mmpt.scripts.benchmark.encoder_peer import Peer
from mmpt.scripts.benchmark.encoder_steps import BATCHES, products, steps_on
from mmpt.scripts.benchmark.gpu.check import Check, limit
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.scripts.benchmark.timing import alternate, ratios
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

UTTERANCES = 64


def measure(part: str, check: Check) -> Figures:
    """Return times of forward passes and of training steps on a batch, ragged or equal, and their ratios."""
    config = EncoderConfig.preset(check.preset)
    frames = tuple(n // 10 for n in BATCHES[part]) if check.small else tuple(islice(cycle(BATCHES[part]), UTTERANCES))
    feats = [torch.randn(n, config.n_mels, device=check.device) for n in frames]
    models = contenders(config, check.device, check.compiles)
    dtype = "bfloat16" if check.device.type == "cuda" else "float32"
    full_rate = limit(check.device, dtype == "bfloat16")
    figures: Figures = {"utterances": len(frames), "frames": sum(frames), "dtype": dtype, "compiled": check.compiles}
    for (mode, passes), _ in zip((("training", 3), ("forward", 1)), check.clock.split_part(2)):
        calls = {name: steps_on(model, feats, mode == "training", dtype) for name, model in models.items()}
        times = alternate(calls, check.rounds(), check.device, warm_up=1 if check.small else 3)
        median = {name: statistics.median(each) for name, each in times.items()}
        figures[mode] = {
            "ratio": statistics.median(ratios(times["torchaudio"], times["ours"])),
            "ours_ms": 1e3 * median["ours"],
            "torchaudio_ms": 1e3 * median["torchaudio"],
            "ours_share_of_the_limit_percent": 100 * passes * products(config, frames) / median["ours"] / full_rate,
            "rounds": len(times["ours"]),
        }
    return figures


@cache
def contenders(config: EncoderConfig, device: torch.device, compiled: bool) -> dict[str, Encoder | Peer]:
    """Return both models, the same ones for all parts: to compile them takes longer than to measure."""
    torch.manual_seed(18)
    ours, peer = Encoder(config).to(device), Peer(config).to(device)
    if compiled:
        ours.compile_blocks()
        peer.compile(dynamic=True)
    return {"ours": ours, "torchaudio": peer}
