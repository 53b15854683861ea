"""Jobs in forks of one server: the figures of new processes, and no crash or interruption that reaches further."""

import contextlib
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from mmpt.superb import job_server, phases
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.executor import Queue, execute
from mmpt.superb.forked_jobs import ForkedJobs
from mmpt.superb.jobs import Job
from mmpt.superb.options import Options
from mmpt.superb.worker import work
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder

from helpers.forked_python import REAL_PYTHON
from helpers.stock_mocks import superb

SMALL = (("downstream_expert.datarc.batch_size", "4"),)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return superb(tmp_path_factory.mktemp("forked") / "noise")


@pytest.fixture
def jobs(tmp_path):
    """The server, which ends with the test."""
    server = ForkedJobs(0, tmp_path / "jobs.log")
    yield server
    server.end_all()


def make(task: str, data: Path, folder: Path, **options) -> Job:
    job = Job(
        task,
        ScoredEncoder("fbank", "fbank"),
        None,
        1,
        folder,
        Options(data_root=str(data), settings=SMALL if task == "ks" else (), limit=2, workers=0, **options),
    )
    job.prepare()
    return job


def phase_of(job: Job) -> int | None:
    """Return the process that writes the job's train.log; None if there is none."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(folder / "fd/1") == str(job.folder / "train.log"):
                return int(folder.name)
    return None


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "it never came to that"
        time.sleep(0.02)


@contextlib.contextmanager
def stuck(job: Job, act: Callable[[int], object]) -> Iterator[None]:
    """Let the job's training wait for its data, and call `act` with its process once it does; mend the data after."""
    files = [*Path(job.options.data_root, "speech_commands_v0.01").glob("*/f?_*.wav")]
    for file in files:
        file.rename(file.with_suffix(".kept"))
        os.mkfifo(file)  # who reads it waits until it is killed

    def wait_and_act() -> None:
        wait_for(lambda: phase_of(job) and b"Start a new experiment" in (job.folder / "train.log").read_bytes())
        act(phase_of(job))

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    yield
    thread.join()
    wait_for(lambda: phase_of(job) is None)
    for file in files:
        file.with_suffix(".kept").replace(file)


@pytest.mark.slow
def test_figures_are_those_of_new_processes(corpora, tmp_path, jobs):
    torch.manual_seed(0)
    save_encoder(Encoder(EncoderConfig.preset("tiny")), tmp_path / "encoder.pt", {"stages": []})
    for task in ("ks", "sd"):
        encoder = ScoredEncoder("tiny", "mmpt_av", tmp_path / "encoder.pt")
        forked, alone = (
            Job(task, encoder, None, 1, tmp_path / way / task, make(task, corpora, tmp_path / "x" / task).options)
            for way in ("forked", "alone")
        )
        forked.prepare(), alone.prepare()
        assert execute([forked], True, jobs, 1, "test") == []
        work(alone, True, phases.in_new_process)
        first, second = ({**job.trained(), "software": None} for job in (forked, alone))  # a commit may come between
        assert first == second and forked.result() == alone.result()
        predictions = {"ks": "experiment/test_predict.txt", "sd": "*/scoring/predictions/*.h5"}[task]
        files = sorted(file.relative_to(forked.folder) for file in forked.folder.glob(predictions))
        assert len(files) == {"ks": 1, "sd": 4}[task]
        for file in files:
            assert (forked.folder / file).read_bytes() == (alone.folder / file).read_bytes()
    commands = [line for line in (forked.folder / "train.log").read_text().splitlines() if line.startswith("$ ")]
    assert len(commands) == 1 and " -m mmpt.upstream.s3prl_runner.launcher -u mmpt_av -d diarization " in commands[0]


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["phase", "job"])
def test_a_crash_takes_no_other_job_with_it(whom, corpora, tmp_path, jobs, capsys):
    crashing = make("ks", shutil.copytree(corpora, tmp_path / "noise"), tmp_path / "crashing")
    others = [make("ks", corpora, tmp_path / f"other{number}") for number in range(2)]
    with stuck(crashing, lambda phase: os.kill(phase if whom == "phase" else parent_of(phase), signal.SIGKILL)):
        assert execute([crashing, *others], True, jobs, 2, "test") == [crashing]
    assert all(job.is_done(evaluate=True) for job in others)
    printed = capsys.readouterr().out
    if whom == "phase":
        assert "ks fbank seed 1 failed (exit status -9); the end of" in crashing.failure()
        assert "Start a new experiment" in crashing.failure() and crashing.failure() in printed
    else:
        assert f"FAILED: ks fbank seed 1, exit status -9, see {jobs.log}" in printed
    assert execute([crashing, *others], True, jobs, 2, "test") == [] and crashing.failure() is None


@pytest.mark.slow
def test_an_interruption_ends_all_jobs_and_the_same_call_resumes_them(corpora, tmp_path, jobs):
    job = make("ks", shutil.copytree(corpora, tmp_path / "noise"), tmp_path / "job")
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with stuck(job, lambda phase: os.kill(os.getpid(), signal.SIGUSR1)), pytest.raises(KeyboardInterrupt):
            execute([job], True, jobs, 1, "test")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not job.trained()
    assert execute([job], True, jobs, 1, "test") == [] and job.result()


EXECUTE = """
import pickle, sys
from pathlib import Path
from mmpt.superb.executor import execute, executor_for
job = pickle.loads(bytes.fromhex(sys.argv[1]))
execute([job], True, executor_for("local", job.folder.parent, {}, 1, 0), 1, "test")
"""


@pytest.mark.slow
def test_jobs_end_with_a_killed_run(corpora, tmp_path, forked_python):
    job = make("ks", shutil.copytree(corpora, tmp_path / "noise"), tmp_path / "job")
    run = subprocess.Popen([sys.executable, "-c", EXECUTE, pickle.dumps(job).hex()], stderr=subprocess.DEVNULL)
    with stuck(job, lambda phase: run.kill()):
        assert run.wait() == -signal.SIGKILL
    forked_python.wait_for_all()


@pytest.mark.slow
def test_a_killed_server_is_reported(corpora, tmp_path, jobs):
    job = make("ks", shutil.copytree(corpora, tmp_path / "noise"), tmp_path / "job")
    with (
        stuck(job, lambda phase: os.kill(parent_of(parent_of(phase)), signal.SIGKILL)),
        pytest.raises(InputError, match="the process that starts the jobs has ended, and they with it; see .*jobs.log"),
    ):
        execute([job], True, jobs, 1, "test")


LOAD = """
import os, torch
asked = []
for name in ("is_available", "device_count", "current_device", "init", "_lazy_init"):
    setattr(torch.cuda, name, lambda *_, name=name: asked.append(name) or 0)
torch._C._cuda_getDeviceCount = lambda: asked.append("driver") or 0
from mmpt.superb import job_server
with job_server.gpus_unseen(1):
    job_server.load()
from s3prl.upstream.log_stft.expert import device
from tqdm import tqdm
print(asked, device, job_server.how_phases_start().__name__, hasattr(tqdm, "_lock"))
"""


@pytest.mark.slow
def test_a_loaded_server_asks_no_gpu_starts_no_thread_and_holds_no_lock():
    """Forks share tqdm's lock, once it is made: a job that is killed while it has it would stop all others."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    loaded = subprocess.run([REAL_PYTHON, "-c", LOAD], env=environment, capture_output=True, text=True, check=True)
    assert loaded.stdout == "[] cuda:0 in_fork False\n" and "Traceback" not in loaded.stderr


@pytest.mark.slow
def test_a_job_gets_its_gpu_before_anything_else(tmp_path, monkeypatch):
    seen = tmp_path / "seen"
    monkeypatch.setattr(
        job_server, "work", lambda *what: seen.write_text(f"{os.environ['CUDA_VISIBLE_DEVICES']} {what}")
    )
    here, there = multiprocessing.Pipe()
    arguments = (there, os.getpid(), phases.in_fork, "job", True, "3")
    process = multiprocessing.get_context("fork").Process(target=job_server.run_job, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0 and seen.read_text().startswith("3 ('job', True, <function in_fork")
    here.close(), there.close()


def test_a_thread_rules_out_forks(capsys):
    wait = threading.Event()
    thread = threading.Thread(target=wait.wait)
    thread.start()
    assert job_server.how_phases_start() is phases.in_new_process and "has started a thread" in capsys.readouterr().out
    wait.set()
    thread.join()


class Recorder:
    """An executor that only notes what it is given."""

    is_local = True

    def __init__(self):
        self.gpus = []

    def submit(self, job, evaluate, gpu):
        self.gpus.append(gpu)

    def ended(self, seconds):
        return {"first": "here"}


def test_jobs_are_spread_over_the_gpus():
    recorder = Recorder()
    queue = Queue(recorder, True, ["0", "5"])
    for job in ("first", "second", "third"):
        queue.submit(job)
    assert queue.ended() == {"first": "here"}
    queue.submit("fourth")
    queue.submit("fifth")
    assert recorder.gpus == ["0", "5", "0", "0", "5"]
