"""Times the encoder against torchaudio's Conformer behind the same sub-sampler and against HuBERT base, in turn in one process.

Weights are random and features are noise, which changes no time. Each part prints what it measured; a ratio says how many times as
long, or as much, the peer took.
"""

import argparse
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from mmpt.scripts.benchmark.encoder_extraction import extraction, half
from mmpt.scripts.benchmark.encoder_imports import imports
from mmpt.scripts.benchmark.encoder_memory import over_length, training_memory
from mmpt.scripts.benchmark.encoder_padding import padding
from mmpt.scripts.benchmark.encoder_peer import Peer, last_states
from mmpt.scripts.benchmark.timing import in_turn, product_rate, ratios, spread
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.config import PRESETS

BATCHES = {"ragged": (1500, 1400, 1300, 1200, 1000, 700, 400, 250), "equal": (1000,) * 8}  # feature frames
EXAMPLES = """\
examples:
  python scripts/benchmark/encoder.py                                   all parts, some ten minutes on two cores
  python scripts/benchmark/encoder.py --parts ragged,equal --rounds 15
  python scripts/benchmark/encoder.py --parts ragged,equal --device cuda --dtype bfloat16 --compile

parts:
  ragged, equal   forward, and forward and backward in training, against torchaudio's Conformer; peak memory of a training step; the share of
                  the machine's own matrix-product rate
  extraction      all hidden states of waveforms, against HuBERT base of transformers
  half            the same in bfloat16 against float32: time, and how far the states move
  padding         operations that a batch of LibriSpeech-like lengths spends on padding
  length          time and memory of one utterance of 10 to 1800 s
  imports         seconds that our imports take beyond torch's and S3PRL's own
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--parts", default=",".join(PARTS), metavar="LIST", help="default: %(default)s")
    p.add_argument(
        "--preset", choices=sorted(PRESETS), default="base", help="sizes of the encoder (default: %(default)s)"
    )
    p.add_argument(
        "--rounds", type=int, default=7, help="timed rounds of each, after one that is not (default: %(default)s)"
    )
    p.add_argument("--threads", type=int, default=2, help="of the processor (default: %(default)s)")
    p.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: %(default)s")
    p.add_argument(
        "--dtype",
        choices=["float32", "bfloat16"],
        default="float32",
        help="bfloat16: under autocast, both (default: %(default)s)",
    )
    p.add_argument("--compile", action="store_true", help="torch.compile both, as each of them allows")
    p.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    return p


def against_torchaudio(options: argparse.Namespace, name: str) -> None:
    """One batch, both modes, both contenders in turn."""
    device, config = torch.device(options.device), EncoderConfig.preset(options.preset)
    feats = [torch.randn(n, config.n_mels, device=device) for n in BATCHES[name]]
    models = {"ours": Encoder(config).to(device), "torchaudio": Peer(config).to(device)}
    if options.compile:
        models["ours"].compile_feed_forwards()
        models["torchaudio"].compile(dynamic=True)
    limit = product_rate(device, options.dtype == "bfloat16")
    print(
        f"\n{name}: {len(feats)} utterances of {', '.join(map(str, BATCHES[name]))} frames; matrix products here: {limit / 1e9:.0f} GFLOP/s"
    )
    for mode in ("evaluation", "training"):
        calls = {model: calls_of(models[model], feats, mode == "training", options.dtype) for model in models}
        times = in_turn(calls, options.rounds, device, f"{name}, {mode}")
        ratio = ratios(times["torchaudio"], times["ours"])
        work = {
            "ours": products(config, BATCHES[name]),
            "torchaudio": products(config, (max(BATCHES[name]),) * len(feats)),
        }
        passes = 3 if mode == "training" else 1  # backward has two products for each one of forward
        print(
            f"  {'forward' if mode == 'evaluation' else 'forward + backward'}, {mode}: torchaudio takes {spread(ratio)} times as long"
        )
        for model in models:
            shares = [100 * passes * work[model] / t / limit for t in times[model]]
            print(
                f"    {model:<11} {spread(times[model])} s, {spread(shares)} % of the limit (its padding counted as work)"
            )
    if device.type == "cpu":
        training_memory(options.preset, BATCHES[name], options.threads)


def calls_of(model: torch.nn.Module, feats: list[Tensor], training: bool, dtype: str) -> Callable[[], object]:
    """One step of a contender: forward alone without gradients, or forward and backward."""
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
    """FLOPs of the matrix products and convolutions of one forward pass; attention's square is in it."""
    d, total, flops = config.d_model, 0, 0.0
    for n in frames:
        t = -(-n // 4)
        total += t
        flops += config.n_layers * 4 * t * t * d  # scores, and the sum that they weigh
    per_state = 2 * (2 * 2 * d * config.ffn_dim) + 2 * 4 * d * d + 2 * 3 * d * d + 2 * config.depthwise_kernel * d
    conv = (
        2 * 2 * config.conv_kernel * config.n_mels * config.conv_channels
        + 2 * config.conv_kernel * config.conv_channels // 2 * 2 * d
    )
    return flops + total * (config.n_layers * per_state + conv + 2 * d * d)


PARTS = {
    "ragged": lambda options: against_torchaudio(options, "ragged"),
    "equal": lambda options: against_torchaudio(options, "equal"),
    "extraction": lambda options: extraction(options.preset, options.rounds),
    "half": lambda options: half(options.preset, options.rounds),
    "padding": lambda options: padding(options.preset),
    "length": lambda options: over_length(options.preset, options.threads),
    "imports": lambda options: imports(options.rounds),
}


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Measures and prints; returns the exit status."""
    options = parser().parse_args(argv)
    parts = options.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        raise InputError(f"--parts: there is no {unknown[0]}; there are {', '.join(PARTS)}")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: there is none here")
    if options.rounds < 1 or options.threads < 1:
        raise InputError("--rounds and --threads must be at least 1")
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    for part in parts:
        PARTS[part](options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
