"""What a run prints."""

import re

from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.options import Options
from mmpt.superb.printout import SMOKE, comparability_notes, footnotes, job_line, rates_table, results_table
from mmpt.superb.results import read_results, unalignable
from mmpt.superb.selection import summaries
from mmpt.superb.statistics.encoder_in_run import EncoderInRun
from mmpt.superb.statistics.metrics import PRIMARY
from mmpt.superb.statistics.pairs import compare_pairs
from mmpt.superb.text_table import text_table

from helpers import predicted_run
from helpers.fake_job import FakeJob


def test_results_table():
    jobs = [
        FakeJob("ks", "a", None, 1, 0.5, 0.25),
        FakeJob("ks", "a", None, 2, 0.5, 0.35),
        FakeJob("asr", "b", None, 1, 1.0, 1.0, best=False, split="test-clean"),
    ]
    content = {"summary": summaries(jobs)}
    lines = results_table(content, ["ks", "asr"], [ScoredEncoder("a", "a"), ScoredEncoder("b", "b")]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["test, %", "a", "b"]
    assert cells[2:] == [
        ["KS accuracy ↑", "30.0 ± 7.1", "-"],
        ["ASR clean CER ↓", "-", "-"],
        ["ASR clean WER ↓", "-", "100.0 *"],
    ]
    assert len({len(line) for line in lines}) == 1 and text_table([["x"], ["y"]]).count("\n") == 2


def test_intervals_and_comparisons_fit_in_a_terminal(tmp_path):
    wrong = {"ks": 0.5, "pr": 0.5, "asr": 0.6}
    names = ["untrained", "a", "b", "midtrained"]
    shares = {name: wrong | ({"pr": 0.2} if name == "midtrained" else {}) for name in names}
    content = read_results(predicted_run.write(tmp_path, shares, seeds=(1, 2, 3)))
    encoders = {name: EncoderInRun(name, content, tmp_path) for name in names}
    content["comparisons"], _ = compare_pairs([(encoders["untrained"], encoders[name]) for name in names[1:]])
    text = results_table(content, list(wrong), [ScoredEncoder(name, name) for name in names])
    tables = [table.splitlines() for table in text.split("\n\n")]
    assert [re.findall(r"\w+", table[0])[1:] for table in tables] == [["untrained", "a"], ["b", "midtrained"]]
    assert max(len(line) for table in tables for line in table) <= 100
    assert re.search(r"\| ASR clean CER ↓ \| \d+\.\d ± \d\.\d \(\d+\.\d–\d+\.\d\) +\|", text)
    lines = footnotes(content, [], [], [])
    assert lines[0] == "In brackets: 95 % interval: KS, PR and ASR bootstrap over 12 clusters and 3 head seeds"
    assert "Holm over 9 comparisons" in lines[1]
    assert lines[4] == "midtrained is better than untrained on PR; they cannot be told apart on KS and ASR"


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
    asr = FakeJob("asr", "a", None, 1, 0.5, 1.25, split="test-clean")
    asr.trained()["checkpoint_step"] = 3
    asr.result()["scores"]["test-clean"]["cer"] = 0.75
    assert job_line(asr).endswith("dev 50.0 % at step 3, test-clean cer 75.0 %, test-clean wer 125.0 %")


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
    assert cells[0] == ["dev, %", "1e-4", "1e-3"]
    assert cells[2:] == [["ks a", "50.0 <", "50.0"], ["ks b", "-", "-"]]
    assert lines[4:] == ["ks a seed 2: 3 nan steps", SMOKE, f"failed: {jobs[3].name}, see {jobs[3].folder}"]
    plain = {"summary": summaries(jobs[:1]), "jobs": [], "notes": []}
    assert footnotes(plain, jobs[:1], jobs[:1], []) == []


def test_rates_that_dev_did_not_measure_are_not_shown_as_measured():
    jobs = [FakeJob("ks", "a", rate, 1, 0.0, None) for rate in ("1e-3", "1e-4")]
    object.__setattr__(jobs[0], "_trained", {**jobs[0].trained(), "dev_score": None})
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in rates_table(jobs, []).splitlines()]
    assert rows[2] == ["ks a", "0.0", "not measured"]


def test_the_note_on_intervals_tells_splits_and_encoders_apart():
    methods = {("ks", "test", "a"): "t", ("ks", "test", "b"): "bootstrap"}
    methods |= {("asr", split, name): "bootstrap" for split in ("test-clean", "test-other") for name in "ab"}
    summary = [
        {"task": task, "split": split, "encoder": name, "best_on_dev": True}
        | {PRIMARY[task]: {"interval": {"method": method}}}
        for (task, split, name), method in methods.items()
    ]
    (line,) = footnotes({"summary": summary, "jobs": [], "notes": []}, [], [], [])
    assert line.endswith("interval: KS a t; KS b, ASR test-clean and ASR test-other bootstrap")
