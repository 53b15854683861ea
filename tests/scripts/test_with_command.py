"""`mmpt with`: the command runs in this Python with S3PRL enabled, in its processes, too; anything else is refused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmpt.scripts import cli, with_command
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.repository import REPOSITORY

from helpers.forked_python import REAL_PYTHON

PROCESSES = """
import multiprocessing, os, subprocess, sys

def in_a_spawned_process(queue):
    from s3prl.nn import S3PRLUpstream
    queue.put(S3PRLUpstream("mmpt_av").num_layers)

if __name__ == "__main__":
    assert not {"torch", "s3prl"} & sys.modules.keys(), "a command that does without S3PRL would wait for it"
    import sitecustomize
    assert sitecustomize.OWN == "the machine's" and os.environ["GREETING"] == "hello"
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=in_a_spawned_process, args=(queue,))
    process.start()
    assert queue.get() == 5
    process.join()
    code = "import sys; print(type(sys.meta_path[0]).__module__)"
    print(subprocess.check_output([sys.executable, "-c", code], text=True), end="")
    print(sys.argv[1:])
    sys.exit(7)
"""


def start(*words, **options) -> subprocess.Popen:
    """Start `mmpt with` in a process of its own, without what the tests' processes have loaded."""
    command = [REAL_PYTHON, "-m", "mmpt.scripts.cli", "with", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # What a shell starts in the background ignores Ctrl-C, and so would all that it starts.
    return subprocess.Popen(
        command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **pipes, **options
    )


@pytest.mark.slow
def test_s3prl_is_enabled_in_all_processes_and_nothing_else_changes(tmp_path):
    torch.manual_seed(0)
    save_encoder(Encoder(EncoderConfig.preset("tiny")), tmp_path / "encoder.pt", {"stages": []})
    (tmp_path / "theirs.py").write_text(PROCESSES)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text('OWN = "the machine\'s"\n')
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "own"),
        "MMPT_AV_CKPT": str(tmp_path / "encoder.pt"),
        "GREETING": "hello",
    }
    process = start("python", tmp_path / "theirs.py", "--help", "-m", env=environment, cwd=tmp_path)
    out, errors = process.communicate()
    assert (process.returncode, out) == (7, "mmpt.upstream.s3prl_runner.enabling\n['--help', '-m']\n"), errors


@pytest.mark.slow
def test_ctrl_c_reaches_the_command(tmp_path):
    process = start("python", "-c", "import time; print('ready', flush=True); time.sleep(60)")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGINT and errors.endswith("KeyboardInterrupt\n")


@pytest.fixture
def executed(monkeypatch) -> list:
    """What the process would become."""
    found: list = []
    monkeypatch.setattr(sys, "executable", REAL_PYTHON)
    monkeypatch.setattr(os, "execve", lambda program, command, environment: found.append((command, environment)))
    return found


@pytest.mark.parametrize("name", ["python", "python3", f"python3.{sys.version_info.minor}", REAL_PYTHON])
def test_python_is_this_python(executed, monkeypatch, name):
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    cli.main(["with", name, "-m", "espnet2.bin.asr_train", "--help"])
    (command, environment), folder = executed[0], REPOSITORY / "upstream/s3prl_runner/at_start"
    assert command == [REAL_PYTHON, "-m", "espnet2.bin.asr_train", "--help"]
    assert environment["PYTHONPATH"] == f"{folder}{os.pathsep}/theirs" and (folder / "sitecustomize.py").is_file()


def test_commands_that_pip_installed_are_found_beside_this_python(executed, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    cli.main(["with", "torchrun", "--nproc_per_node", "2", "x.py"])
    command, environment = executed[0]
    torchrun = str(Path(REAL_PYTHON).parent / "torchrun")
    assert command == [REAL_PYTHON, torchrun, "--nproc_per_node", "2", "x.py"]
    assert os.pathsep not in environment["PYTHONPATH"]


@pytest.mark.parametrize(
    "start",
    [
        "#!/usr/bin/env python3\n",
        "#! /usr/bin/env -S python -u\n",
        "#!/long/path/bin/python3.11\n",
        "#!/bin/sh\n'''exec' \"/a path/bin/python3\" \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_a_script_tells_that_it_is_python_s(executed, tmp_path, monkeypatch, start):
    (tmp_path / "theirs").write_text(start)
    (tmp_path / "theirs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    cli.main(["with", "theirs", "x"])
    cli.main(["with", str(tmp_path / "theirs")])
    assert [command[1:] for command, _ in executed] == [[str(tmp_path / "theirs"), "x"], [str(tmp_path / "theirs")]]


def test_a_file_need_not_be_executable(executed, tmp_path):
    (tmp_path / "theirs.py").write_text("print()\n")
    cli.main(["with", str(tmp_path / "theirs.py")])
    assert executed[0][0] == [REAL_PYTHON, str(tmp_path / "theirs.py")]


@pytest.mark.parametrize(
    "words, line",
    [
        (["sh", "run.sh"], "not a Python command; inside a shell script, call mmpt with"),
        (["/python/sh"], "no such command"),
        (["nothing-of-this-name"], "nothing-of-this-name: no such command, neither beside"),
        (["missing.py"], "missing.py: no such command"),
        (["python2.7", "x.py"], "python2.7: not this mmpt's Python, which is"),
        (["/elsewhere/bin/python"], "/elsewhere/bin/python: not this mmpt's Python"),
    ],
)
def test_anything_else_is_refused_in_one_line(executed, capsys, words, line):
    assert cli.main(["with", *words]) == 2
    error = capsys.readouterr().err
    assert line in error and error.startswith("error: ") and error.count("\n") == 1
    assert not executed


def test_a_command_is_asked_for(executed, capsys):
    with pytest.raises(SystemExit) as end:
        with_command.main([])
    assert end.value.code == 2 and "COMMAND" in capsys.readouterr().err and not executed
