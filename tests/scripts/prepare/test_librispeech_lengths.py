"""Tables of lengths for S3PRL's ASR, for any LibriSpeech folder."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mmpt.scripts.prepare.librispeech_lengths import main, write_lengths
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY

COMMAND = [sys.executable, str(REPOSITORY / "scripts/prepare/librispeech_lengths.py")]


@pytest.fixture
def root(tmp_path) -> Path:
    for number, length in enumerate((1000, 3000, 2000, 3000)):
        path = tmp_path / f"LibriSpeech/dev-clean/7/8/7-8-{number:04d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(length, np.int16), 16000)
    return tmp_path / "LibriSpeech"


def test_rows_are_sorted_by_length_with_relative_paths(root):
    assert write_lengths(root, root / "out") == {"dev-clean": 4}
    text = (root / "out/dev-clean.csv").read_text()
    assert text.startswith(",file_path,length,label\n0,dev-clean/7/8/7-8-0001.flac,3000,\n")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["length"] for row in rows] == ["3000", "3000", "2000", "1000"]
    assert [path.name for path in (root / "out").iterdir()] == ["dev-clean.csv"]


@pytest.mark.slow
def test_command_writes_the_tables(root):
    result = subprocess.run([*COMMAND, "--root", root], capture_output=True, text=True)
    assert result.returncode == 0 and "4 files" in result.stdout
    assert (root / "len_for_bucket/dev-clean.csv").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments, problem",
    [(["--root", "/nowhere"], "no such folder"), (["--splits", "dev-claen"], "there are: dev-clean")],
)
def test_bad_input_is_one_line(root, arguments, problem):
    arguments = arguments if "--root" in arguments else ["--root", str(root), *arguments]
    result = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
    assert result.returncode == 2
    assert problem in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("rate, content", [(8000, None), (None, b"no sound")])
def test_bad_file_is_named(root, rate, content):
    path = root / "dev-clean/7/8/7-8-0009.flac"
    path.write_bytes(content) if content else soundfile.write(path, np.zeros(9, np.int16), rate)
    with pytest.raises(InputError, match="7-8-0009.flac"):
        write_lengths(root, root / "out")
    assert not (root / "out").exists()


def test_folders_without_a_corpus_are_one_line(root, tmp_path, capsys):
    (root / "dev-other").mkdir()
    for arguments, message in (
        (["--root", str(tmp_path / "nowhere")], "nowhere: no such folder; --root must name"),
        (["--root", str(root / "dev-clean")], "holds none of train-clean-100"),
        (["--root", str(root), "--splits", "dev-other"], "dev-other: no .flac files"),
        (["--root", str(root), "--splits", "test-clean"], "there are: dev-clean, dev-other"),
        (["--root", str(root), "--jobs", "0"], "--jobs must be at least 1, not 0"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert not (root / "len_for_bucket").exists()
