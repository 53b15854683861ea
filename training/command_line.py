"""What the training commands of both stages share before they load torch: options, and the choice of the run folder."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from mmpt.training.run_folder import RunFolder
from mmpt.upstream.output import check_output


def add_run_options(parser: argparse.ArgumentParser, default_config: str, default_out: str) -> None:
    """Add --config, --out, --resume, --resume-if-there, --fresh and the overrides; the help describes the defaults."""
    parser.add_argument("--config", type=Path, metavar="YAML", help=f"settings (default: {default_config})")
    parser.add_argument("--out", type=Path, metavar="RUN", help=f"run folder (default: {default_out})")
    parser.add_argument(
        "--resume", action="store_true", help="continue the interrupted run in --out, with that run's settings"
    )
    parser.add_argument(
        "--resume-if-there",
        action="store_true",
        help="resume if --out holds a run, else start one (for job queues; --fresh is then ignored)",
    )
    parser.add_argument("--fresh", action="store_true", help="delete the run in --out and start again")
    parser.add_argument(
        "overrides", nargs="*", metavar="NAME=VALUE", help="settings that override the config's, such as optim.lr=1e-4"
    )


def choose_run_folder(arguments: argparse.Namespace, default: Callable[[], Path]) -> RunFolder:
    """Return the run folder, checked; turn --resume-if-there into --resume or a new run.

    Every process of a run looks at the folder before any process writes to it: they meet later, in launch.py.

    Args:
        arguments: the parsed command line (see add_run_options).
        default: gives the folder of a run without --out.

    Raises:
        InputError: the folder holds the project's sources, or may not be used as --resume and --fresh ask (see
            RunFolder.check).
    """
    path = arguments.out or default()
    folder = RunFolder(check_output(path, "runs/NAME"), writes=is_main_process())
    if arguments.resume_if_there:
        arguments.resume, arguments.fresh = folder.is_run(), False
    folder.check(arguments.resume, arguments.fresh)
    return folder


def is_main_process() -> bool:
    """Return True in the process that writes for all: rank 0 under torchrun, or the only one."""
    return int(os.environ.get("WORLD_SIZE", 1)) == 1 or int(os.environ.get("RANK", 0)) == 0
