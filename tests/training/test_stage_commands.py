"""Training commands that a quickstart or a study starts: what is known of them, and that none outlives its parent."""

import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest

from mmpt.training.stage_commands import run_command, train

from helpers.processes import is_running, wait_for

TRAINING = """\
import os, pathlib, sys, time
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
out.mkdir(parents=True, exist_ok=True)
(out / "arguments").open("a").write(" ".join(sys.argv[1:]) + "\\n")
(out / "process").write_text(str(os.getpid()))
time.sleep(float(os.environ.get("SLEEP", 0)))
(out / "encoder.pt").touch()
"""


@pytest.fixture
def script(tmp_path) -> str:
    file = tmp_path / "training.py"
    file.write_text(TRAINING)
    return str(file)


@pytest.mark.slow
def test_a_training_ends_with_its_parent_and_is_known_afterwards(script, tmp_path):
    """SIGKILL, which no program can handle, ends the parent in the middle."""
    out = tmp_path / "run"
    code = "import sys; from mmpt.training.stage_commands import run_command as r; from pathlib import Path; "
    code += "r(sys.argv[1], '--out', sys.argv[2], marker=(Path(sys.argv[2]) / 'made-from', 'settings'))"
    command = [sys.executable, "-c", code, script, str(out)]
    with subprocess.Popen(command, env={**os.environ, "SLEEP": "90"}) as parent:
        wait_for(lambda: (out / "made-from").is_file() and (out / "process").is_file())
        wait_for((out / "process").read_text)
        training = int((out / "process").read_text())
        assert is_running(training)
        parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not is_running(training))
    assert (out / "made-from").read_text() == "settings" and not (out / "encoder.pt").exists()


@pytest.mark.slow
def test_a_training_is_reused_resumed_or_started_again(script, tmp_path):
    out, config = tmp_path / "run", tmp_path / "config.yaml"
    config.write_text("seed: 0")

    def calls(depends_on: str) -> list[str]:
        train([script], out, config, depends_on)
        return (out / "arguments").read_text().splitlines()

    plain = f"--config {config} --out {out}"
    assert calls("data") == [plain]
    assert calls("data") == [plain]  # it is done
    (out / "encoder.pt").unlink()
    (out / "checkpoints").mkdir()
    (out / "checkpoints/last.pt").touch()
    assert calls("data") == [plain, f"--resume {plain}"]
    assert calls("other data") == [plain]  # in a new folder
    config.write_text("seed: 1")
    (out / "old").touch()
    assert calls("other data") == [plain] and not (out / "old").exists()


@pytest.mark.slow
def test_a_command_that_fails_ends_with_its_status(tmp_path):
    script = tmp_path / "failing.py"
    script.write_text("raise SystemExit(3)")
    with pytest.raises(SystemExit, match="3"):
        run_command(str(script))


@pytest.mark.slow
def test_a_training_that_another_process_does_is_waited_for_and_said(script, tmp_path, capfd):
    out, config = tmp_path / "run", tmp_path / "config.yaml"
    config.touch()
    with (tmp_path / ".run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        release = threading.Timer(0.5, fcntl.flock, (lock, fcntl.LOCK_UN))
        release.start()
        train([script], out, config, "nothing")
        release.join()
    assert f"{out}: another process trains it" in capfd.readouterr().err
    assert (out / "encoder.pt").is_file()
