"""The benchmark of how jobs start: both ways run, their figures are compared, and a difference is its exit status."""

import re

import pytest

from mmpt.scripts.benchmark import job_start
from mmpt.superb import executor
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.jobs import Job

from helpers.stock_mocks import superb


def test_a_folder_of_other_things_is_refused(tmp_path, capsys):
    (tmp_path / "thesis.tex").touch()
    assert job_start.main(["--out", str(tmp_path)]) == 2 and (tmp_path / "thesis.tex").is_file()
    assert "holds something else than this benchmark's jobs" in capsys.readouterr().err


@pytest.mark.slow
def test_both_ways_run_and_their_figures_are_compared(tmp_path, capsys, monkeypatch):
    noise = superb(tmp_path / "noise")
    command = ["--data-root", str(noise), "--tasks", "sd", "--steps", "2", "--encoder", "fbank"]
    command += ["--cache", "--jobs", "1", "--out", str(tmp_path / "out")]
    assert job_start.main(command) == 0
    first, *_, time, cpu, last = capsys.readouterr().out.splitlines()
    assert (
        first == "1 encoders × 1 tasks, 1 jobs at a time" and last == "figures and predictions of all 1 jobs are equal"
    )
    for line, what in ((time, "time"), (cpu, "CPU time")):
        assert re.fullmatch(rf"{what}: forks of one server \d+ s, new processes \d+ s: \d+%", line)
    logs = [tmp_path / f"out/{way}/sd/fbank/lr-default-seed1337/train.log" for way in ("forked", "alone")]
    assert all(b"cache: " in log.read_bytes() for log in logs) and (tmp_path / "out/submitit").is_dir()

    execute = executor.execute

    def spoiling(jobs, *others):
        failed = execute(jobs, *others)
        next(jobs[0].folder.glob("experiment/scoring/predictions/*.h5")).write_text(f"{jobs[0].folder}\n")
        return failed

    monkeypatch.setattr(executor, "execute", spoiling)
    assert job_start.main(command) == 1
    assert capsys.readouterr().out.endswith("sd fbank seed 1337: figures or predictions differ\n")


def test_figures_count_as_well_as_predictions(tmp_path):
    jobs = [Job("ks", ScoredEncoder("fbank", "fbank"), None, 1, tmp_path / name) for name in ("one", "other")]
    for job in jobs:
        (job.folder / "dev/scoring/predictions").mkdir(parents=True)
        (job.folder / "dev/scoring/predictions/a.h5").write_bytes(b"0")
        (job.folder / "result.json").write_text('{"scores": 1}')
    (jobs[0].folder / "trained.json").write_text('{"dev_score": 1, "software": {"revision": "abc"}}')
    (jobs[1].folder / "trained.json").write_text('{"dev_score": 1, "software": {"revision": "def"}}')
    assert job_start.same(*jobs)
    (jobs[0].folder / "result.json").write_text('{"scores": 2}')
    assert not job_start.same(*jobs)
    (jobs[1].folder / "result.json").write_text('{"scores": 2}')
    assert job_start.same(*jobs)
    (jobs[1].folder / "trained.json").write_text('{"dev_score": 2}')
    assert not job_start.same(*jobs)
    (jobs[0].folder / "trained.json").write_text('{"dev_score": 2}')
    assert job_start.same(*jobs)
    (jobs[1].folder / "dev/scoring/predictions/a.h5").write_bytes(b"1")
    assert not job_start.same(*jobs)


@pytest.mark.slow
def test_encoders_are_made_if_none_is_named(tmp_path):
    encoders = job_start.make_encoders(tmp_path)
    assert [encoder.name for encoder in encoders] == ["fbank", "untrained0", "untrained1", "untrained2"]
    assert len({encoder.identity for encoder in encoders}) == 4


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--tasks", "xx"], "no task is called 'xx'"),
        (["--steps", "0"], "--jobs and --steps must be at least 1"),
        (["--data-root", "absent"], "--data-root absent: no such folder"),
        (["--ckpt", "absent.pt"], "--ckpt absent.pt: no such encoder"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path, capsys):
    assert job_start.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
