"""The benchmark of --help: which calls it times, what it prints, and its exit status."""

import subprocess

import pytest

from mmpt.scripts import cli
from mmpt.scripts.benchmark import help_times
from mmpt.upstream.errors import InputError


@pytest.fixture
def timed(monkeypatch):
    """Two calls, of which the second is slow but for its first time, which does not count."""
    times = {"quick": iter([9.0, 0.1, 0.3, 0.2]), "slow": iter([0.1, 0.7, 0.4, 0.6])}
    monkeypatch.setattr(help_times, "CALLS", {"mmpt quick": ["quick"], "mmpt slow": ["slow"]})
    monkeypatch.setattr(help_times, "seconds", lambda words: next(times[words[0]]))


def test_every_command_is_called():
    assert set(help_times.CALLS) == {"mmpt", "python run_downstream.py", *(f"mmpt {name}" for name in cli.COMMANDS)}
    assert all((help_times.REPOSITORY / words[0]).is_file() for words in help_times.CALLS.values())


@pytest.mark.parametrize("limit, status, late", [("0.5", 1, 1), ("0.65", 0, 0), ("0.15", 1, 2)])
def test_medians_above_the_limit_are_the_exit_status(timed, capsys, limit, status, late):
    assert help_times.main(["--rounds", "3", "--limit-s", limit]) == status
    quick, slow = capsys.readouterr().out.splitlines()
    assert "0.20 s (0.10 to 0.30)" in quick and "0.60 s (0.40 to 0.70)" in slow
    assert ["above the limit" in line for line in (quick, slow)].count(True) == late


def test_bad_input_is_one_line(capsys):
    assert help_times.main(["--rounds", "0"]) == 2
    assert capsys.readouterr().err == "error: --rounds must be at least 1, not 0\n"


def test_a_call_may_write_byte_code(monkeypatch):
    seen = []

    def run(command, env, **_):
        seen.append((command[1:], env))
        return subprocess.CompletedProcess(command, len(seen) - 1, "", "a\nerror: no such command\n")

    monkeypatch.setattr(help_times.subprocess, "run", run)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert 0 <= help_times.seconds(["scripts/cli.py", "report"]) < 1
    assert seen[0][0] == ["scripts/cli.py", "report", "--help"] and "PYTHONDONTWRITEBYTECODE" not in seen[0][1]
    with pytest.raises(InputError, match="report --help fails: error: no such command"):
        help_times.seconds(["scripts/cli.py", "report"])


@pytest.mark.slow
def test_help_of_the_command_is_timed():
    assert 0 < help_times.seconds(["scripts/cli.py"]) < 30
