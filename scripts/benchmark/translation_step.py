"""Time a training step of stage 2 against Hugging Face's Speech2Text model of the same sizes.

Its encoder is a Transformer. Our model without padding is also timed against itself on padded features. All train on
the same utterances, step by step in turn in one process. The features are noise; lengths have LibriSpeech's mean and
spread. Batches are cut from utterances in random order, and in the order of their lengths as in training.
"""

import argparse
import sys

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import PRESETS

EXAMPLES = """\
examples:
  python scripts/benchmark/translation_step.py                                     some minutes on the CPU
  python scripts/benchmark/translation_step.py --peer-layers 32                    a peer of our encoder's arithmetic
  python scripts/benchmark/translation_step.py --batch-frames 40000 --rounds 20    on a GPU (bfloat16)
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
        "--batch-frames", type=int, default=8000, metavar="N", help="frames of speech in a batch (default: %(default)s)"
    )
    p.add_argument(
        "--rounds", type=int, default=5, help="timed steps of each, after one that is not (default: %(default)s)"
    )
    p.add_argument(
        "--peer-layers", type=int, metavar="N", help="layers of the peer's encoder (default: as many as ours)"
    )
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
    for name in ("batch_frames", "rounds", "threads"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(arguments, name)}")

    from mmpt.scripts.benchmark.translation_training import benchmark

    benchmark(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
