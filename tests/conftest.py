"""What all tests share: forked processes, the fast lane, and the built samples."""

import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from mmpt.upstream.repository import REPOSITORY, samples_folder

from helpers import lanes
from helpers.forked_python import REAL_PYTHON, ForkedPython

FOLDER = "MMPT_FORKED_PYTHON"  # environment variable: where the fork server of this test run lies
FORKED = pytest.StashKey[ForkedPython]()


def pytest_configure(config: pytest.Config) -> None:
    """Make `sys.executable` the stand-in that forks, in each process that runs tests."""
    is_worker = hasattr(config, "workerinput")
    if not is_worker:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="forked-python-")
    if is_worker or config.getoption("dist", "no") == "no":
        forked = config.stash[FORKED] = ForkedPython(
            Path(os.environ[FOLDER]), os.environ.get("PYTEST_XDIST_WORKER", "main")
        )
        forked.write()
        multiprocessing.set_executable(REAL_PYTHON)
        sys.executable = str(forked.program)
        lanes.watch()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind; the fork server ends with this process."""
    sys.executable = REAL_PYTHON
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of the built samples slow, since the first one builds them; let files with slow tests come first."""
    for item in items:
        if "built_samples" in getattr(item, "fixturenames", ()):
            item.add_marker("slow")
    files = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in files)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run each file in one process, where its tests share their fixtures; those with slow tests first."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Allow tests that are marked `slow`, and only those, to start processes and to train."""
    is_slow = item.get_closest_marker("slow") is not None
    if is_slow:
        owner = os.getppid() if hasattr(item.config, "workerinput") else os.getpid()
        item.config.stash[FORKED].start(owner)
    with lanes.slow_allowed(is_slow):
        return (yield)


@pytest.fixture(scope="session")
def forked_python(pytestconfig: pytest.Config) -> ForkedPython:
    """The stand-in for Python, for a test that waits until all its processes have ended."""
    return pytestconfig.stash[FORKED]


@pytest.fixture(scope="session")
def built_samples() -> Path:
    """Give the folder of the built sample corpora: about a minute the first time, nothing from then on."""
    folder = samples_folder().resolve()
    command = [sys.executable, str(REPOSITORY / "scripts" / "samples" / "build.py"), "--out", str(folder)]
    with FileLock(Path(os.environ[FOLDER]) / "samples.lock"):  # two test processes would build them twice
        result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def strict_compiler() -> Iterator[None]:
    """Give torch.compile fresh caches, and make it raise an error where it would give up."""
    import torch._dynamo.utils
    import torch._inductor.config

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    with torch._dynamo.config.patch(recompile_limit=3, fail_on_recompile_limit_hit=True):
        with torch._inductor.config.patch(compile_threads=1):  # no processes that wait for work
            yield
    torch._dynamo.reset()


@pytest.fixture
def few_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count MACs of one utterance in each bucket: for tests that look at where the figures go, not at the figures."""
    from mmpt.superb import cost

    monkeypatch.setattr(cost, "LENGTHS", {bucket: lengths[:1] for bucket, lengths in cost.LENGTHS.items()})
