"""`mmpt superb compare`: two scored encoders on one screen."""

import json
import re

import pytest

from mmpt.scripts.superb.compare import main

from helpers import predicted_run

WRONG = {"ks": 0.5, "ic": 0.4, "pr": 0.5, "asr": 0.6, "sd": 0.2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a run of two encoders, and one of a single encoder with fewer tasks."""
    folder = tmp_path_factory.mktemp("runs")
    predicted_run.write(folder / "two", {"base": WRONG, "good": {**WRONG, "pr": 0.2, "asr": 0.3}})
    predicted_run.write(folder / "one", {"base": {"ks": 0.5}}, rates=(0.1, 1.0), intervals=False)
    return folder


def test_one_screen_answers_whether_b_is_better(runs, capsys):
    assert main([f"{runs}/two:base", f"{runs}/two:good"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[:2] == [f"A (base): {runs}/two", f"B (good): {runs}/two"]
    rows = {cells[0]: cells[1:] for line in lines if (cells := [cell.strip() for cell in line.strip("|").split("|")])}
    assert rows["test, %"][2:] == ["B − A (95 %)", "p", "p Holm", "McNemar", "could show"]
    figures = ["KS accuracy ↑", "IC accuracy ↑", "PR PER ↓", "SD DER ↓", "ASR clean CER ↓", "ASR clean WER ↓"]
    assert [name for name in rows if name[-1:] in ("↑", "↓")] == figures
    assert re.fullmatch(r"−\d+\.\d \(−\d+\.\d to −\d+\.\d\)", rows["PR PER ↓"][2])
    assert rows["ASR clean WER ↓"][4] == "-" and rows["ASR clean CER ↓"][4] != "-"
    assert rows["KS accuracy ↑"][5] != "-" and rows["PR PER ↓"][5] == "-"
    assert "corrected for 5 figures" in text and "KS: 120 clips, bootstrap over 12 clusters" in text
    assert "Warning: a fixed learning rate" in text
    assert len(lines) <= 24
    sentence = text.rsplit("\n\n", 1)[1].replace("\n", " ")
    assert sentence.startswith("B (good) is better than A (base) on PR and ASR; they cannot be told apart on KS (120")


def test_results_of_an_earlier_version_and_missing_tasks(runs, capsys):
    """One run has no intervals in results.json, and only KS."""
    assert main([f"{runs}/two:good", f"{runs}/one"]) == 0
    text = capsys.readouterr().out
    assert "PR: not compared: only A (good) was tested" in text
    assert "Warning: no common grid of learning rates on KS: 0.1 for A (good), 0.1, 1 for B (base)." in text


@pytest.mark.parametrize(
    "names, expected",
    [
        (("two", "one"), r"holds 2 encoders \(base, good\): name one, as .*two:good"),
        (("two:god", "one"), "holds no encoder 'god'; did you mean good"),
        (("none", "one"), "none: No such file or directory"),
    ],
)
def test_what_cannot_be_compared_is_one_line(runs, capsys, names, expected):
    assert main([f"{runs}/{name}" for name in names]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(expected, line)


def test_other_test_items_or_none_in_common_are_one_line(runs, tmp_path, capsys):
    other = predicted_run.write(tmp_path / "other", {"e": {"ks": 0.5}})
    experiment = other / "ks/e/lr0.1-seed1/experiment"
    for name in ("test_predict.txt", "test_truth.txt"):
        (experiment / name).write_text((experiment / name).read_text().replace("_nohash_0", "_nohash_77"))
    assert main([f"{runs}/one", str(other)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "KS: not compared: two encoders: 24 test items are in one only" in line
    content = json.loads((other / "results.json").read_text())
    (other / "results.json").write_text(json.dumps({**content, "summary": []}))
    assert main([f"{runs}/one", str(other)]) == 2
    assert "KS: not compared: only A (base) was tested" in capsys.readouterr().err
