"""The encoder against torchaudio's Conformer: steps on one batch, and their share of the machine's limit."""

import argparse
import math
from collections.abc import Callable

import torch
from torch import Tensor

from mmpt.scripts.benchmark.encoder_memory import training_memory
from mmpt.scripts.benchmark.encoder_peer import Peer, last_states
from mmpt.scripts.benchmark.timing import in_turn, product_rate, ratios, spread
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

BATCHES = {"ragged": (1500, 1400, 1300, 1200, 1000, 700, 400, 250), "equal": (1000,) * 8}  # feature frames


def against_torchaudio(options: argparse.Namespace, name: str) -> None:
    """Measure one batch in both modes, the contenders in turn."""
    device, config = torch.device(options.device), EncoderConfig.preset(options.preset)
    frames = BATCHES[name]
    feats = [torch.randn(n, config.n_mels, device=device) for n in frames]
    ours, peer = Encoder(config).to(device), Peer(config).to(device)
    if options.compile:
        ours.compile_blocks()
        peer.compile(dynamic=True)
    models: dict[str, Encoder | Peer] = {"ours": ours, "torchaudio": peer}
    work = {"ours": products(config, frames), "torchaudio": products(config, (max(frames),) * len(frames))}
    limit = product_rate(device, options.dtype == "bfloat16")
    print(f"\n{name}: {len(feats)} utterances of {', '.join(map(str, frames))} frames")
    print(f"  matrix products here: {limit / 1e9:.0f} GFLOP/s")
    for mode in ("evaluation", "training"):
        calls = {model: steps_on(models[model], feats, mode == "training", options.dtype) for model in models}
        times = in_turn(calls, options.rounds, device, f"{name}, {mode}")
        what = "forward" if mode == "evaluation" else "forward + backward"
        print(f"  {what}, {mode}: torchaudio takes {spread(ratios(times['torchaudio'], times['ours']))} times as long")
        passes = 3 if mode == "training" else 1  # backward has two products for each one of forward
        for model in models:
            shares = spread([100 * passes * work[model] / t / limit for t in times[model]])
            print(f"    {model:<11} {spread(times[model])} s, {shares} % of the limit (its padding counted as work)")
    if device.type == "cpu":
        training_memory(options.preset, frames, options.threads)


def steps_on(model: Encoder | Peer, feats: list[Tensor], training: bool, dtype: str) -> Callable[[], object]:
    """Return one step of a contender: forward alone without gradients, or forward and backward."""
    half = torch.autocast(feats[0].device.type, torch.bfloat16, enabled=dtype == "bfloat16")

    def step() -> None:
        model.train(training)
        with torch.set_grad_enabled(training), half:
            states = last_states(model, feats)
        if training:
            model.zero_grad(set_to_none=True)
            states.float().square().mean().backward()

    return step


def products(config: EncoderConfig, frames: tuple[int, ...]) -> float:
    """Return the FLOPs of the matrix products and convolutions of one forward pass, attention's square included."""
    d, states = config.d_model, [math.ceil(n / 4) for n in frames]
    attention = sum(config.n_layers * 4 * t * t * d for t in states)  # scores, and the sum that they weigh
    per_state = 2 * (2 * 2 * d * config.ffn_dim) + 2 * 4 * d * d + 2 * 3 * d * d + 2 * config.depthwise_kernel * d
    conv = (
        2 * 2 * config.conv_kernel * config.n_mels * config.conv_channels
        + 2 * config.conv_kernel * config.conv_channels // 2 * 2 * d
    )
    return attention + sum(states) * (config.n_layers * per_state + conv + 2 * d * d)
