"""The learning rate, chosen on dev alone."""

import pytest

from mmpt.superb.selection import choose, summaries

from helpers.fake_job import FakeJob


def test_the_rate_is_chosen_by_the_mean_over_seeds_on_dev():
    """Test would choose the other one each time."""
    accuracy = [FakeJob("ks", "a", "1e-1", 1, 0.9, 0.1), FakeJob("ks", "a", "1e-1", 2, 0.2, 0.1)]
    accuracy += [FakeJob("ks", "a", "1e-2", seed, 0.6, 0.0) for seed in (1, 2)]
    assert [job.lr for job in choose(accuracy)] == ["1e-2", "1e-2"]
    errors = [FakeJob("pr", "a", "1e-1", 1, 0.5, 0.1), FakeJob("pr", "a", "1e-2", 1, 0.4, 0.9)]
    assert [job.lr for job in choose(errors)] == ["1e-2"]
    both = choose(accuracy + errors + [FakeJob("ks", "b", "1e-1", 1, 0.3, 0.3)])
    assert [(job.task, job.encoder.name) for job in both] == [("ks", "a"), ("ks", "a"), ("pr", "a"), ("ks", "b")]


def test_a_rate_with_a_failed_seed_does_not_win():
    jobs = [FakeJob("ks", "a", "1e-1", 1, 0.9, 0.5), FakeJob("ks", "a", "1e-1", 2, None, None)]
    jobs += [FakeJob("ks", "a", "1e-2", seed, 0.6, 0.5) for seed in (1, 2)]
    assert {job.lr for job in choose(jobs)} == {"1e-2"}
    assert choose([FakeJob("ks", "a", "1e-1", 1, None, None)]) == []


def test_no_dev_score_counts_as_the_worst():
    jobs = [FakeJob("asr", "a", "1e-1", 1, None, None), FakeJob("asr", "a", "1e-2", 1, 0.99, 0.9)]
    object.__setattr__(jobs[0], "_trained", {"dev_score": None, "checkpoint_is_best_on_dev": False})
    assert [job.lr for job in choose(jobs)] == ["1e-2"]


def test_recognition_counts_characters():
    """The other rate has fewer wrong words, since it writes almost nothing."""
    jobs = [FakeJob("asr", "a", rate, 1, words, 0.9) for rate, words in (("1e-1", 0.99), ("1e-2", 1.03))]
    for job, characters in zip(jobs, (0.95, 0.75), strict=True):
        object.__setattr__(job, "_trained", {**job.trained(), "rate_score": characters})
    assert [job.lr for job in choose(jobs)] == ["1e-2"]


def test_means_and_spreads():
    jobs = [FakeJob("sd", "a", None, seed, 0.5, value) for seed, value in enumerate((0.1, 0.2, 0.3))]
    entry = summaries(jobs)[0]
    assert (
        entry["der"]["mean"] == pytest.approx(0.2)
        and entry["der"]["std"] == pytest.approx(0.1)
        and entry["seeds"] == [0, 1, 2]
    )
    assert summaries(jobs[:1])[0]["der"]["std"] is None
