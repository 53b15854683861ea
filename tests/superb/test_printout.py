"""What a run prints."""

from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.printout import SMOKE, results_table
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
