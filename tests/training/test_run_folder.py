"""A run folder: one process at a time, and a config that follows accepted changes."""

import subprocess
import sys

import pytest
import yaml

from mmpt.training.run_folder import RunFolder
from mmpt.training.sole_use import LOCK
from mmpt.upstream.errors import InputError

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_two_processes_do_not_train_in_one_folder(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.prepare({"seed": 1}, fresh=False)
    run.lock_file.close()
    command = [sys.executable, "-B", "-c", HOLD, str(run.path / LOCK)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        for fresh in (False, True):
            with pytest.raises(InputError, match="run: another process is training here; wait for it or end it"):
                RunFolder(tmp_path / "run").prepare({"seed": 2}, fresh)
        other.kill()  # its lock goes with it
    RunFolder(tmp_path / "run").prepare({"seed": 2}, fresh=True)
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text()) == {"seed": 2}


def test_the_config_follows_what_changes_at_a_resume(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.prepare({"patience": 1}, fresh=False)
    run.prepare({"patience": 20}, fresh=False)  # a resume, not accepted yet
    assert yaml.safe_load((run.path / "config.yaml").read_text()) == {"patience": 1}
    RunFolder(run.path, writes=False).keep_config({"patience": 20})  # of another rank
    assert yaml.safe_load((run.path / "config.yaml").read_text()) == {"patience": 1}
    run.keep_config({"patience": 20})
    assert yaml.safe_load((run.path / "config.yaml").read_text()) == {"patience": 20}
