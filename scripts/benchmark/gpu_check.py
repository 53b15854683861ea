"""Measure training and extraction on a GPU: are the results right, how fast is it, how much memory does it take.

It needs no data, no network and no installed package of ours, only a clone and PyTorch with its libraries. What it
trains on is noise. Items run in about the order below until the time is up. gpu.json holds the figures and what did not
run; it is rewritten after each part. gpu.html shows the same as tables.
"""

import argparse
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple


def find_package() -> None:
    """Let a clone that is not installed import itself as `mmpt`, here and in processes that are spawned from here."""
    try:
        import mmpt  # noqa: F401
    except ModuleNotFoundError:
        package = ModuleType("mmpt")
        package.__path__ = [str(Path(__file__).resolve().parents[2])]
        sys.modules["mmpt"] = package


find_package()

from mmpt.upstream.command import clean_exit  # noqa: E402
from mmpt.upstream.errors import InputError  # noqa: E402
from mmpt.upstream.nearest import did_you_mean  # noqa: E402


class Item(NamedTuple):
    """A group of measurements: the module in gpu/ that does them, its parts, and the seconds for each on a GPU."""

    module: str
    parts: tuple[str, ...]
    seconds: float
    summary: str


OBJECTIVES = ("clr", "mae", "mae+clr", "stage2")
ITEMS = {
    "card": Item("card", ("limits",), 5, "what the card reaches in a matrix product and a copy"),
    "agreement": Item(
        "agreement",
        ("float32", "bfloat16", "attention", "dropout"),
        12,
        "states and gradients alone, in a batch and on the CPU; kernels of attention and their dropout",
    ),
    "training": Item(
        "training", OBJECTIVES, 55, "steps of all objectives: rate, MFU, memory; packed and compiled against neither"
    ),
    "compiled": Item("compiled", ("encoder",), 40, "states and gradients of compiled training against the CPU's"),
    "peer": Item("peer", ("ragged", "equal"), 50, "the encoder against torchaudio's Conformer, both compiled"),
    "resume": Item("resume", ("kill",), 80, "kill -9 and resume of a short training, against an unbroken one"),
    "profile": Item("profiling", OBJECTIVES, 15, "shares of kernels, of the front end and of waiting in five steps"),
    "decoding": Item("decoding", ("jpeg",), 20, "JPEG pictures decoded on the GPU, alone and beside an update"),
    "hubert": Item("hubert", ("bfloat16", "float32"), 15, "extraction against HuBERT base"),
    "grid": Item(
        "grid",
        ("bfloat16", "float32", "eager", "checkpoint"),
        30,
        "ragged against equal lengths, compiled and not; activation checkpointing",
    ),
    "superb": Item("superb_tasks", ("ks", "asr"), 60, "S3PRL's loop with kept states and without"),
    "memory": Item("memory", OBJECTIVES, 12, "measured peak against the estimate before a run"),
}
EXAMPLES = """\
examples:
  python scripts/benchmark/gpu_check.py --minutes 9 --out gpu                       everything
  python scripts/benchmark/gpu_check.py --minutes 2 --out gpu --only agreement training.clr profile.clr
  python scripts/benchmark/gpu_check.py --minutes 5 --out gpu --only grid superb    later, added to the same gpu.json
  python scripts/benchmark/gpu_check.py --device cpu --small --out /tmp/gpu         a try without a GPU

items:
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    listed = "\n".join(f"  {name:<10} {item.summary}" for name, item in ITEMS.items())
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES + listed, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--minutes", type=float, default=9.0, help="time for all (default: %(default)s)")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of gpu.json and gpu.html")
    p.add_argument(
        "--only", nargs="+", default=[], metavar="ITEM", help="items, or parts such as training.mae (default: all)"
    )
    p.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="(default: %(default)s)")
    p.add_argument("--small", action="store_true", help="tiny models and batches, not compiled: a test of the command")
    return p


def chosen_parts(only: list[str]) -> list[tuple[str, str]]:
    """Return the parts (item, part) to run, in order; a profile follows the training of the same objective.

    Raises:
        InputError: there is no such item or part.
    """
    everything = [(name, part) for name, item in ITEMS.items() for part in item.parts]
    known = [*ITEMS, *(".".join(pair) for pair in everything)]
    for word in only:
        if word not in known:
            raise InputError(f"--only: there is no {word}; {did_you_mean(word, known)}")
    chosen = [pair for pair in everything if not only or pair[0] in only or ".".join(pair) in only]
    return sorted(chosen, key=lambda pair: everything.index(("training", pair[1]) if pair[0] == "profile" else pair))


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, and return the exit status: 1 if a part failed."""
    arguments = parser().parse_args(argv)
    if arguments.minutes <= 0:
        raise InputError(f"--minutes must be above 0, not {arguments.minutes:g}")
    chosen = chosen_parts(arguments.only)

    import torch

    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: there is none here")
    from mmpt.scripts.benchmark.gpu.running import run_check

    return run_check(arguments, ITEMS, chosen)


if __name__ == "__main__":
    sys.exit(main())
