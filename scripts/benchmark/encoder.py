"""Time the encoder against torchaudio's Conformer behind the same sub-sampler and against HuBERT base, in one process.

The contenders take turns. Weights are random and features are noise, which changes no time. Each part prints what it
measured; a ratio is the peer's time, or memory, over ours.
"""

import argparse
import sys

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import PRESETS

AGAINST_TORCHAUDIO = ("ragged", "equal")
PARTS = (*AGAINST_TORCHAUDIO, "extraction", "half", "padding", "length", "imports")
EXAMPLES = """\
examples:
  python scripts/benchmark/encoder.py                                   all parts, some ten minutes on two cores
  python scripts/benchmark/encoder.py --parts ragged,equal --rounds 15
  python scripts/benchmark/encoder.py --parts ragged,equal --device cuda --dtype bfloat16 --compile

parts:
  ragged, equal   forward, and forward and backward in training, against torchaudio's Conformer; peak memory of a
                  training step; the share of the machine's own matrix-product rate
  extraction      all hidden states of waveforms, against HuBERT base of transformers
  half            the same in bfloat16 against float32: time, and how far the states move; steps in training
  padding         operations that a batch of LibriSpeech-like lengths spends on padding
  length          time and memory of one utterance of 10 to 1800 s
  imports         seconds that our imports take beyond torch's and S3PRL's own
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
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
    p.add_argument("--threads", type=int, default=2, help="threads of the processor (default: %(default)s)")
    p.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: %(default)s")
    p.add_argument(
        "--dtype",
        choices=["float32", "bfloat16"],
        default="float32",
        help="bfloat16: both under autocast (default: %(default)s)",
    )
    p.add_argument("--compile", action="store_true", help="torch.compile both, as far as each allows")
    p.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    options = parser().parse_args(argv)
    parts = options.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        raise InputError(f"--parts: there is no {unknown[0]}; there are {', '.join(PARTS)}")
    if options.rounds < 1 or options.threads < 1:
        raise InputError("--rounds and --threads must be at least 1")

    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: there is none here")
    chosen = options.device != "cpu" or options.dtype != "float32" or options.compile
    if chosen and (others := [part for part in parts if part not in AGAINST_TORCHAUDIO]):
        choices = ",".join(AGAINST_TORCHAUDIO)
        raise InputError(f"--device, --dtype and --compile are for --parts {choices}, not for {others[0]}")
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    for part in parts:
        measure(part, options)
    return 0


def measure(part: str, options: argparse.Namespace) -> None:
    """Measure one of the parts."""
    from mmpt.scripts.benchmark import (
        encoder_extraction,
        encoder_imports,
        encoder_memory,
        encoder_padding,
        encoder_steps,
    )

    if part == "extraction":
        encoder_extraction.extraction(options.preset, options.rounds)
    elif part == "half":
        encoder_extraction.half(options.preset, options.rounds)
    elif part == "padding":
        encoder_padding.padding(options.preset)
    elif part == "length":
        encoder_memory.over_length(options.preset, options.threads)
    elif part == "imports":
        encoder_imports.imports(options.rounds)
    else:
        encoder_steps.against_torchaudio(options, part)


if __name__ == "__main__":
    sys.exit(main())
