"""The stand-in for Python behaves as an interpreter that is started, from what it is given to how it ends."""

import os
import signal
import subprocess
import sys

import pytest

from helpers.forked_python import REAL_PYTHON
from helpers.python_stand_in import can_be_forked

pytestmark = pytest.mark.slow

TELL = """
import os, sys
print([sys.argv, __name__, os.getcwd(), os.environ.get("COLOUR"), sys.stdin.read()])
print("warning", file=sys.stderr)
sys.exit(7)
"""
WAIT = "import sys, time; print('ready', flush=True); time.sleep(600)"


def run(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, **options)


@pytest.mark.parametrize("form", ["code", "module", "file"])
def test_a_command_gets_what_it_was_given(form, tmp_path):
    (tmp_path / "tell.py").write_text(TELL)
    start = {"code": ["-c", TELL], "module": ["-m", "tell"], "file": [tmp_path / "tell.py"]}[form]
    done = run(*start, "one", "two words", cwd=tmp_path, env={"COLOUR": "red"}, input="said")
    first = {"code": "-c"}.get(form, str(tmp_path / "tell.py"))
    assert done.stdout == f"{[[first, 'one', 'two words'], '__main__', str(tmp_path), 'red', 'said']}\n"
    assert (done.returncode, done.stderr) == (7, "warning\n")


def test_an_error_is_told_as_python_tells_it():
    code = "def half(x):\n    return 1 / x\nhalf(0)\n"
    forked, real = run("-c", code), subprocess.run([REAL_PYTHON, "-c", code], capture_output=True, text=True)
    assert forked.returncode == real.returncode == 1 and forked.stderr == real.stderr
    assert run("-c", "import sys; sys.exit('no')").stderr == "no\n"


def heed_interrupts() -> None:
    """Undo that test processes of xdist ignore Ctrl-C, which a child would inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGKILL", "SIGUSR1"])
def test_a_signal_ends_it(name, forked_python):
    number = getattr(signal, name)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", WAIT], preexec_fn=heed_interrupts, **streams)
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == -number
    forked_python.wait_for_all()


def test_a_signal_may_be_handled_or_ignored():
    code = "import os, signal, sys; signal.signal(15, lambda *_: sys.exit(3)); os.kill(os.getpid(), 15)"
    assert run("-c", code).returncode == 3
    ignoring = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    assert run("-c", "import signal; print(signal.getsignal(2).name)", **ignoring).stdout == "SIG_IGN\n"


def test_a_process_starts_the_next_one_in_the_same_way():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import sys; print(sys.executable)'])"
    assert run("-c", code).stdout == f"{sys.executable}\n" != f"{REAL_PYTHON}\n"


def test_torch_is_loaded_and_each_process_draws_other_numbers():
    code = "import sys; print('torch' in sys.modules); import numpy; print(numpy.random.rand())"
    first, second = (run("-c", code).stdout.split() for _ in range(2))
    assert first[0] == second[0] == "True" and first[1] != second[1]


def test_files_that_a_child_inherits_are_there():
    reading, writing = os.pipe()
    run("-c", f"import os; os.write({writing}, b'through')", pass_fds=[writing])
    os.close(writing)
    with open(reading, "rb") as file:
        assert file.read() == b"through"


def test_other_options_start_a_real_interpreter():
    assert can_be_forked(["-u", "-m", "json.tool"]) and not can_be_forked(["-I", "-c", "pass"])
    assert (
        run("-I", "-c", "import sys; print(sys.executable, 'torch' in sys.modules)").stdout == f"{REAL_PYTHON} False\n"
    )
