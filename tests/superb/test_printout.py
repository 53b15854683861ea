"""What a run prints."""

from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.options import Options
from mmpt.superb.printout import SMOKE, comparability_notes, footnotes, job_line, results_table
from mmpt.superb.results import unalignable
from mmpt.superb.selection import summaries
from mmpt.superb.text_table import text_table

from helpers.fake_job import FakeJob


def test_results_table():
    jobs = [
        FakeJob("ks", "a", None, 1, 0.5, 0.25),
        FakeJob("ks", "a", None, 2, 0.5, 0.35),
        FakeJob("asr", "b", None, 1, 1.0, 1.0, best=False, split="test-clean"),
    ]
    lines = results_table(
        {"summary": summaries(jobs)}, ["ks", "asr"], [ScoredEncoder("a", "a"), ScoredEncoder("b", "b")]
    ).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["test, %", "KS acc ↑", "ASR clean wer ↓"]
    assert cells[2:] == [["a", "30.0 ± 7.1", "-"], ["b", "-", "100.0 *"]]
    assert len({len(line) for line in lines}) == 1 and text_table([["x"], ["y"]]).count("\n") == 2


def test_shares_of_utterances_too_fast_for_ctc():
    ctc = {"train": {"utterances": 200, "unalignable": 10}, "dev": {"utterances": 10, "unalignable": 5}}
    entry = {
        "task": "pr",
        "encoder": "a",
        "dropped": {"ctc": ctc},
        "unalignable": {**ctc, "test": {"utterances": 4, "unalignable": 1}},
    }
    assert unalignable({"jobs": [entry, entry]}) == [("pr", "a", "test", 0.25), ("pr", "a", "train", 0.05)]
    assert SMOKE.startswith("SMOKE")


def test_what_keeps_figures_from_being_compared_is_noted():
    assert comparability_notes([], Options()) == []
    options = Options(lexicon=("mine.txt",), fine_tune=True, settings=(("runner.total_steps", "7"),))
    lexicon, tuned, changed = comparability_notes([], options)
    assert "PR with other lexicons" in lexicon and "Fine-tuned" in tuned and "--set, --config" in changed
    assert comparability_notes([], Options(configs=(("asr", "a.yaml"),))) == [changed]


def test_a_job_that_is_done_is_one_line():
    for dev, figure in ((0.5, "dev 50.0 %"), (None, "no dev score")):
        job = FakeJob("ks", "a", None, 1, 0.5, 0.25)
        object.__setattr__(job, "_trained", {"dev_score": dev, "checkpoint_step": 40})
        assert job_line(job) == f"{job.name}: {figure} at step 40, test acc 25.0 %"


def test_footnotes_explain_the_marks_and_list_what_was_dropped():
    jobs = [
        FakeJob("ks", "a", "1e-3", 1, 0.5, 0.25),
        FakeJob("ks", "a", "1e-4", 1, 0.75, 0.5, best=False),
        FakeJob("ks", "a", "1e-4", 2, 0.25, 0.5, best=False),
        FakeJob("ks", "b", "1e-4", 1, None, None),
    ]
    dropped = {"dropped_batches": 0, "nan_steps": 3}
    entries = [{"task": "ks", "encoder": "a", "seed": 2, "dropped": dropped}, {"task": "ks", "encoder": "b", "seed": 1}]
    content = {"summary": summaries(jobs[1:3]), "jobs": entries, "notes": [SMOKE]}
    lines = footnotes(content, jobs, jobs[1:3], jobs[3:])
    assert lines[0].startswith("* ") and lines[1] == "± standard deviation over seeds"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[3].splitlines()]
    assert cells[0] == ["dev, %", "1e-3", "1e-4"]
    assert cells[2:] == [["ks a", "50.0", "50.0 <"], ["ks b", "-", "-"]]
    assert lines[4:] == ["ks a seed 2: 3 nan steps", SMOKE, f"failed: {jobs[3].name}, see {jobs[3].folder}"]
    plain = {"summary": summaries(jobs[:1]), "jobs": [], "notes": []}
    assert footnotes(plain, jobs[:1], jobs[:1], []) == []
