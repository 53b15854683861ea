"""Time our beam search against `generate` of Hugging Face's Speech2Text model of the same sizes, with the same beam.

Both translate the same utterances, batch by batch in turn in one process. Weights and features are random; every text
is made to have the same number of tokens, in both. Lengths have LibriSpeech's mean and spread; batches hold utterances
of like length. The peer's encoder is a Transformer.
"""

import argparse
import sys

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import PRESETS

EXAMPLES = """\
examples:
  python scripts/benchmark/translating.py                                     some minutes on the CPU
  python scripts/benchmark/translating.py --batch-frames 40000 --rounds 10    on a GPU (bfloat16)
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--preset", choices=sorted(PRESETS), default="base", help="sizes of the encoder (default: %(default)s)"
    )
    p.add_argument(
        "--batch-frames",
        type=int,
        default=20_000,
        metavar="N",
        help="frames of speech in a batch (default: %(default)s)",
    )
    p.add_argument("--rounds", type=int, default=3, help="timed batches, after one that is not (default: %(default)s)")
    p.add_argument("--beam", type=int, default=5, metavar="K", help="size of the beam (default: %(default)s)")
    p.add_argument("--tokens", type=int, default=40, metavar="N", help="tokens of each text (default: %(default)s)")
    p.add_argument(
        "--vocabulary", type=int, default=8000, metavar="N", help="number of sub-words (default: %(default)s)"
    )
    p.add_argument("--threads", type=int, default=2, help="threads of the processor (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    arguments = parser().parse_args(argv)
    for name in ("batch_frames", "rounds", "beam", "tokens", "threads"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(arguments, name)}")

    from mmpt.scripts.benchmark.translation_search import benchmark

    benchmark(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
