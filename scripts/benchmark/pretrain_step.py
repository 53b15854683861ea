"""Time a training step of stage 1 on clips of noise, of 10 s or with --ragged of 2 to 10 s.

First the masked objective with dropped tokens against the same model encoding all tokens, step by step in turn in one
process; then each objective by itself, with its arithmetic and memory.
"""

import argparse
import sys
from pathlib import Path

from mmpt.upstream.command import clean_exit
from mmpt.upstream.repository import REPOSITORY

EXAMPLES = """\
examples:
  python scripts/benchmark/pretrain_step.py                          2 clips a step, some ten minutes on a CPU
  python scripts/benchmark/pretrain_step.py --batch 64 --steps 20 --ragged --compile    on a GPU (bfloat16)
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--config",
        type=Path,
        default=REPOSITORY / "pretrain/configs/paper.yaml",
        metavar="YAML",
        help="settings (default: paper.yaml)",
    )
    p.add_argument("--batch", type=int, default=2, help="clips a step (default: %(default)s)")
    p.add_argument(
        "--steps", type=int, default=5, help="timed steps of each, after one that is not (default: %(default)s)"
    )
    p.add_argument("--threads", type=int, default=2, help="threads of the processor (default: %(default)s)")
    p.add_argument("--ragged", action="store_true", help="clips of 2 to 10 s")
    p.add_argument("--compile", action="store_true", help="with torch.compile")
    p.add_argument("overrides", nargs="*", metavar="NAME=VALUE", help="settings that override the config's")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    arguments = parser().parse_intermixed_args(argv)

    import torch

    from mmpt.pretrain.settings import OBJECTIVES
    from mmpt.scripts.benchmark.objective_steps import compare_with_all_tokens, report_objective

    torch.set_num_threads(arguments.threads)
    compare_with_all_tokens(arguments)
    for objective in OBJECTIVES:
        report_objective(arguments, objective)
    return 0


if __name__ == "__main__":
    sys.exit(main())
