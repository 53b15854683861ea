"""Every command runs as a file, as the README types it: `python scripts/prepare/shards.py --help`."""

import runpy
import sys

import pytest

from mmpt.upstream.repository import REPOSITORY

FOLDERS = ("scripts", "pretrain", "midtrain")
COMMANDS = sorted(
    file.relative_to(REPOSITORY).as_posix()
    for folder in FOLDERS
    for file in (REPOSITORY / folder).rglob("*.py")
    if "\n    sys.exit(main())" in file.read_text(encoding="utf-8")
)


def test_the_documented_commands_are_among_them():
    assert {"pretrain/run.py", "midtrain/translate.py", "scripts/superb/run.py", "scripts/samples/build.py"} < {
        *COMMANDS
    }


@pytest.mark.parametrize("file", COMMANDS)
def test_a_file_is_a_command(file, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [file, "--help"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(REPOSITORY / file), run_name="__main__")
    assert end.value.code == 0
    out = capsys.readouterr().out
    name = "mmpt" if file == "scripts/cli.py" else file.rpartition("/")[2]
    assert out.startswith(f"usage: {name} ")
