"""S3PRL's bars in a job's log: few lines, and a file that tells the step."""

import io

import pytest

from mmpt.upstream.s3prl_runner.printed import read_step
from mmpt.upstream.s3prl_runner.progress import RunnerProgress


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """Return the folder in which the bar of the whole training keeps its step."""
    monkeypatch.setattr(RunnerProgress, "folder", tmp_path)
    return tmp_path


def test_the_step_is_in_a_file_and_the_log_has_one_line_at_the_end(experiment):
    log = io.StringIO()
    bar = RunnerProgress(total=40, dynamic_ncols=True, desc="overall", file=log)
    assert read_step(experiment) == 0
    while bar.n < bar.total:
        for _ in RunnerProgress(range(10), dynamic_ncols=True, desc="train", file=log):
            bar.update(1)
    bar.close()
    assert read_step(experiment) == 40
    assert log.getvalue().startswith("overall: 40 of 40 (100 %), ") and log.getvalue().count("\n") == 1


def test_a_resumed_training_counts_its_own_steps_for_the_rate(experiment):
    bar = RunnerProgress(total=1000, desc="overall", file=io.StringIO())
    bar.n = 900  # S3PRL sets it
    bar.update(1)
    assert bar.initial == 900 and read_step(experiment) == 901


def test_a_folder_without_a_whole_step_file_is_at_step_0(tmp_path):
    (tmp_path / "step.txt").write_text("")
    assert read_step(tmp_path) == 0 == read_step(tmp_path / "none")
