"""Run a Python command of others, such as S3PRL's or ESPnet's, with S3PRL repaired and our encoders registered."""

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError

EXAMPLES = """\
examples:
  mmpt with python their_script.py --any options
  mmpt with python -m espnet2.bin.asr_train --config conf/train.yaml ...
  mmpt with s3prl-main SuperbASR -h
  MMPT_AV_CKPT=encoder.pt mmpt with torchrun --nproc_per_node 2 their_training.py

The command runs in this Python. In it, and in every Python process that it starts, S3PRL imports on today's libraries
and has the upstreams mmpt_av (an encoder checkpoint; default: $MMPT_AV_CKPT) and hf (a folder or id of transformers).
Only a process that imports S3PRL takes longer. In your own code, call mmpt.upstream.s3prl_runner.enable() instead.
The exit status is the command's.
"""
AT_START = Path(__file__).resolve().parent.parent / "upstream" / "s3prl_runner" / "at_start"
# A shebang, or what pip writes where the path of Python is too long for one.
START_OF_SCRIPT = re.compile(rb"#!\s*(\S*/env\s+(-S\s+)?)?(\S*/)?python[\d.]*\s|#!/bin/sh\n'''exec' .*python")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("command", metavar="COMMAND", help="python, a .py file, or a Python command that pip installed")
    p.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="its arguments")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Become the command; return only if that fails."""
    arguments = parser().parse_args(argv)
    command = python_command(arguments.command, arguments.arguments)
    paths = [str(AT_START), *filter(None, [os.environ.get("PYTHONPATH")])]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, {**os.environ, "PYTHONPATH": os.pathsep.join(paths)})


def python_command(name: str, arguments: list[str]) -> list[str]:
    """Return the command line that runs a Python command in this Python.

    Raises:
        InputError: there is no such command, or it is not Python's, or another Python's.
    """
    if re.fullmatch(r"python[\d.]*", Path(name).name):
        check_python(name)
        return [sys.executable, *arguments]
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = name if name.endswith(".py") and Path(name).is_file() else shutil.which(name, path=places)
    if found is None:
        raise InputError(f"{name}: no such command, neither beside {sys.executable} nor on PATH")
    with open(found, "rb") as file:
        if not found.endswith(".py") and not START_OF_SCRIPT.match(file.read(4096)):
            raise InputError(f"{found}: not a Python command; inside a shell script, call mmpt with")
    return [sys.executable, found, *arguments]


def check_python(name: str) -> None:
    """Raise InputError if `name` is not this Python but that of another version or environment."""
    versions = ("", f"{sys.version_info.major}", f"{sys.version_info.major}.{sys.version_info.minor}")
    if os.sep in name:
        is_ours = Path(name).absolute().parent == Path(sys.executable).parent
    else:
        is_ours = name in [f"python{version}" for version in versions]
    if not is_ours:
        raise InputError(f"{name}: not this mmpt's Python, which is {sys.executable}; call the other one's mmpt")


if __name__ == "__main__":
    sys.exit(main())
