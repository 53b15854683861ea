"""results.json: what is there is not lost to a smaller call."""

import json
from pathlib import Path

import pytest

from mmpt.superb.results import check_nothing_is_lost
from mmpt.upstream.errors import InputError

from helpers.fake_job import FakeJob


def results_of(folder: Path, *jobs: FakeJob) -> Path:
    entries = [{"task": job.task, "encoder": job.encoder.name} for job in jobs]
    content = {"encoders": [], "jobs": entries, "summary": [], "notes": []}
    (folder / "results.json").write_text(json.dumps(content))
    return folder


def test_tasks_and_encoders_that_are_there_must_be_named_again(tmp_path):
    ks, pr, other = (FakeJob(*about, None, 1, 0.5, 0.5) for about in (("ks", "a"), ("pr", "a"), ("ks", "b")))
    check_nothing_is_lost([ks], tmp_path)  # nothing is there yet
    results_of(tmp_path, ks, pr)
    with pytest.raises(InputError, match="results.json: would lose pr a; name these, too"):
        check_nothing_is_lost([ks, other], tmp_path)
    check_nothing_is_lost([ks, pr, other], tmp_path)
