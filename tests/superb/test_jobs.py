"""Jobs: what their results depend on, how they resume, whose predictions they leave. S3PRL really runs, on noise."""

import contextlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.jobs import Job
from mmpt.superb.options import Options
from mmpt.superb.phases import end_of_log
from mmpt.superb.worker import work
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.s3prl_runner.launcher import read_checkpoint

from helpers.stock_mocks import superb

SMALL = (("downstream_expert.datarc.batch_size", "4"), ("runner.log_step", "1"))


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return superb(tmp_path_factory.mktemp("jobs") / "noise")


@pytest.fixture(scope="module")
def encoder(corpora):
    torch.manual_seed(0)
    save_encoder(Encoder(EncoderConfig.preset("tiny")), corpora.parent / "encoder.pt", {"stages": []})
    return ScoredEncoder("untrained", "mmpt_av", corpora.parent / "encoder.pt")


def ks(corpora, encoder, folder, lr=None, **settings) -> Job:
    more = tuple((f"runner.{key}", str(value)) for key, value in settings.items())
    return Job("ks", encoder, lr, 1, folder, Options(data_root=str(corpora), settings=SMALL + more, workers=0))


def test_settings_are_those_that_s3prl_will_see(corpora, encoder, tmp_path):
    job = ks(corpora, encoder, tmp_path / "job", lr="3e-2", total_steps=7)
    assert (job.steps, job.config["optimizer"]["lr"], job.config["downstream_expert"]["datarc"]["batch_size"]) == (
        7,
        0.03,
        4,
    )
    assert job.config["downstream_expert"]["datarc"]["speech_commands_root"] == str(corpora / "speech_commands_v0.01")
    assert job.on_samples and job.is_smoke
    limited = replace(job, options=replace(job.options, limit=3))
    assert [limited.config["runner"][key] for key in ("total_steps", "eval_step", "save_step", "log_step")] == [3] * 4


def test_what_a_result_depends_on(corpora, encoder, tmp_path):
    job = ks(corpora, encoder, tmp_path / "job")
    same = ks(corpora, encoder, tmp_path / "elsewhere")
    assert job.fingerprint() == same.fingerprint()
    assert replace(job, options=replace(job.options, workers=3, threads=2)).fingerprint() == job.fingerprint()
    for other in (
        replace(job, lr="1e-1"),
        replace(job, seed=2),
        replace(job, task="ic"),
        replace(job, encoder=ScoredEncoder("fbank", "fbank")),
        replace(job, options=replace(job.options, limit=3)),
        replace(job, options=replace(job.options, fine_tune=True)),
        replace(job, options=replace(job.options, layer=0)),
    ):
        assert other.fingerprint() != job.fingerprint()
    job.prepare()
    for states in ({"cache": "/states"}, {"cache": "/states", "cache_dtype": "float32"}):
        cached = replace(job, options=replace(job.options, **states))
        assert job.is_current() and not cached.is_current()
        with pytest.raises(InputError, match="with --cache or without"):
            cached.prepare()
    finer = Job("ks", encoder, None, 1, tmp_path / "fine", replace(job.options, frame_hop=320))
    finer.prepare()
    assert (
        finer.fingerprint() != job.fingerprint() and (tmp_path / "fine/mmpt_av.yaml").read_text() == "frame_hop: 320\n"
    )


def test_a_head_on_one_layer(corpora, encoder, tmp_path):
    job = ks(corpora, encoder, tmp_path / "job")
    first = replace(job, seed=0, options=replace(job.options, layer=0))
    assert first.command() == job.command().replace("--seed 1", "--seed 0") + " -l 0"
    assert first.name == "ks untrained layer 0 seed 0"


def test_a_folder_of_other_settings_is_not_touched(corpora, encoder, tmp_path):
    ks(corpora, encoder, tmp_path / "job").prepare()
    ks(corpora, encoder, tmp_path / "job").prepare()
    (tmp_path / "job/mine").write_text("mine")
    other = ks(corpora, encoder, tmp_path / "job", total_steps=9)
    with pytest.raises(InputError, match="another --out, or --fresh"):
        other.prepare()
    assert (tmp_path / "job/mine").is_file()
    other.prepare(replace=True)
    assert (
        not (tmp_path / "job/mine").exists()
        and json.loads((tmp_path / "job/job.json").read_text())["fingerprint"] == other.fingerprint()
    )


@pytest.mark.slow
def test_predictions_are_the_best_checkpoints(corpora, encoder, tmp_path):
    """The learning rate is far too high, so that the best step on dev is not the last one, and predicts otherwise."""
    job = ks(corpora, encoder, tmp_path / "job", lr="3e-1", total_steps=12, eval_step=1, save_step=6)
    job.prepare()
    work(job, evaluate=True)
    trained, result = job.trained(), job.result()
    best = max(trained["dev_curve"].values())
    first = min(int(step) for step, score in trained["dev_curve"].items() if score == best)
    assert (
        trained["checkpoint"] == "dev-best.ckpt"
        and trained["checkpoint_step"] == first == result["prediction_of_step"] < 12
    )
    assert trained["dev_score"] == best and len(trained["dev_curve"]) == 12
    assert sum(trained["layer_weights"]) == pytest.approx(1) and len(trained["layer_weights"]) == 5
    left = (job.experiment / "test_predict.txt").read_text()
    again = {}
    for name in ("dev-best.ckpt", "states-12.ckpt"):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [
            "-m",
            "evaluate",
            "-e",
            str(job.experiment / name),
            "-o",
            f"args.expdir={tmp_path / name}",
            "--device",
            "cpu",
        ]
        subprocess.run(
            [sys.executable, "-m", "mmpt.upstream.s3prl_runner.launcher", *command],
            check=True,
            capture_output=True,
            env=environment,
        )
        again[name] = (tmp_path / name / "test_predict.txt").read_text()
    assert left == again["dev-best.ckpt"] != again["states-12.ckpt"]


def wait_for(condition, seconds=120):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "it never came to that"
        time.sleep(0.02)


WORK = "import pickle, sys; from mmpt.superb.worker import work; work(pickle.load(sys.stdin.buffer), True)"


@contextlib.contextmanager
def held(files: list[Path]) -> Iterator[None]:
    """Put pipes that nobody writes to in place of files: who reads one waits until it is killed."""
    assert files
    for file in files:
        file.rename(file.with_suffix(".kept"))
        os.mkfifo(file)
    yield
    for file in files:
        file.with_suffix(".kept").replace(file)


def killed_when(job, condition, forked_python) -> None:
    """Work at the job in a process of its own, and kill it without warning when the condition holds."""
    process = subprocess.Popen([sys.executable, "-c", WORK], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdin.write(pickle.dumps(job))
    process.stdin.close()
    wait_for(lambda: condition() or process.poll() is not None)
    assert process.poll() is None, "it was over before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    forked_python.wait_for_all()  # the stock runner, which waits too, has ended with its parent


def holds(log: Path, text: str) -> bool:
    return log.is_file() and text in log.read_text(errors="replace")


@pytest.mark.slow
def test_a_job_killed_in_each_phase_resumes(corpora, encoder, tmp_path, forked_python):
    """In training before and after a checkpoint, and in the evaluation. The stock runner ends with its parent."""
    data = shutil.copytree(corpora, tmp_path / "noise")
    speech, tests = data / "speech_commands_v0.01", data / "speech_commands_test_set_v0.01"
    job = ks(data, encoder, tmp_path / "job", total_steps=40, eval_step=20, save_step=10)
    job.prepare()
    log, ends = job.folder / "train.log", job.folder / "evaluate.log"
    with held([*speech.glob("*/f?_*.wav")]):
        killed_when(job, lambda: holds(log, "Start a new experiment"), forked_python)
    assert not any(job.experiment.glob("states-*.ckpt"))
    with held([*speech.glob("*/m3_*.wav")]):  # of dev
        killed_when(job, lambda: (job.experiment / "states-10.ckpt").is_file(), forked_python)
    assert not job.trained()
    work(job, evaluate=False)
    assert job.trained() and holds(log, "Resume from")
    assert set(job.trained()["dev_curve"]) == {"20", "40"}
    with held([*tests.glob("*/*.wav")]):
        killed_when(job, lambda: holds(ends, "Resume from"), forked_python)
    assert not job.result()
    work(job, evaluate=True)
    assert job.result()["scores"]["test"]["utterances"] == 12 and job.failure() is None
    before = ends.stat().st_mtime_ns
    work(job, evaluate=True)  # nothing is left to do
    assert ends.stat().st_mtime_ns == before
    assert read_checkpoint(job.experiment / "states-40.ckpt")["Step"] == 40


@pytest.mark.slow
def test_an_equals_sign_in_a_path_is_a_character_like_others(corpora, encoder, tmp_path):
    """SD's predictions of dev are redirected by S3PRL's `-o`, whose values cannot hold one as typed."""
    data = shutil.copytree(corpora / "diarization", tmp_path / "da=ta/diarization").parent
    job = Job("sd", encoder, None, 1, tmp_path / "o=ut/sd/na=me", Options(data_root=str(data), limit=2, workers=0))
    job.prepare()
    work(job, evaluate=True)
    assert job.result()["scores"]["test"]["utterances"] == 2
    assert {file.name for file in (job.dev_diarization / "scoring/predictions").iterdir()} == {"dev0.h5", "dev1.h5"}


@pytest.mark.slow
def test_a_failed_job_keeps_the_reason_and_is_tried_again(corpora, encoder, tmp_path):
    spoilt = tmp_path / "spoilt"
    shutil.copytree(corpora, spoilt)
    table = spoilt / "fluent_speech_commands_dataset/data/valid_data.csv"
    whole = table.read_text()
    table.write_text(whole.replace("lamp", "radio"))
    job = Job("ic", encoder, None, 1, tmp_path / "job", Options(data_root=str(spoilt), limit=2, workers=0))
    job.prepare()
    with pytest.raises(InputError, match="exit status 1.*\n.*KeyError: 'radio'|KeyError"):
        work(job, evaluate=True)
    assert "radio" in job.failure() and not job.trained()
    table.write_text(whole)
    work(job, evaluate=True)
    assert job.failure() is None and job.result()["scores"]["test"]["utterances"] == 6


def test_the_end_of_a_log_is_without_progress_bars(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        "first\n"
        + "".join(f"\roverall: {i}%|#| {i}/100 [00:01<00:02, 3.1it/s]" for i in range(100))
        + "\nTraceback\nValueError: no\n"
    )
    assert end_of_log(log) == "first\nTraceback\nValueError: no"
