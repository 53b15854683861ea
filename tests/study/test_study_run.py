"""`mmpt study` as a user runs it, on made-up data: a whole study, an interrupted one, and what is refused."""

import json
import shutil

import pytest
import yaml

from mmpt.scripts.study import main
from mmpt.study import run as study_run

from helpers import mock_must_c
from helpers.small_run import SMALL, write_small_manifest
from helpers.stock_mocks import superb

MIDTRAIN = [
    *("data.batch_frames=500", "data.vocabulary_size=40", "decoder.ffn_dim=16", "ctc.vocabulary_size=30"),
    "keep_checkpoints=2",
]
PLAN = {
    "samples": "small",
    "preset": "tiny",
    "pretrain": {"config": SMALL[1], "settings": SMALL[2:-4], "steps": 2, "minutes": 1},
    "midtrain": {"config": "midtrain/configs/samples.yaml", "settings": MIDTRAIN, "steps": 2, "minutes": 1},
    "objectives": ["clr"],
    "sets": ["mock"],
    "languages": ["it"],
    "more_languages": [],
    "seeds": [0],
    "heads": [{"task": "ks", "rates": ["1e-3", "1e-2"], "seeds": [1, 2]}],
    "head_minutes": 1,
    "cut": ["four tasks"],
}
NAMES = ["fbank", "untrained", "clr", "none_it", "clr_it", "clr_longer"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Corpora and a plan."""
    place = tmp_path_factory.mktemp("study")
    write_small_manifest(place / "clips")
    mock_must_c.corpus(place / "must_c")
    superb(place / "corpora")
    (place / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    return place


def study(place, out, *options):
    data = ["--clips", str(place / "clips/manifest.tsv"), "--must-c", str(place / "must_c")]
    data += ["--data-root", str(place / "corpora"), "--device", "cpu", "--steps", "2"]
    return main(["--scale", str(place / "plan.yaml"), "--out", str(out), *data, *options])


@pytest.fixture(scope="module")
def whole(place):
    assert study(place, place / "whole") == 0
    return place / "whole"


def scores(folder):
    content = json.loads((folder / "results.json").read_text())
    return {entry["encoder"]: entry["acc"]["values"] for entry in content["summary"]}


@pytest.mark.slow
def test_everything_is_trained_scored_and_compared(whole):
    about = json.loads((whole / "study.json").read_text())
    assert [encoder["name"] for encoder in about["encoders"]] == NAMES  # no sets: the data are the user's
    assert [e["name"] for e in about["encoders"] if e["bleu"]] == ["none_it", "clr_it"]
    assert all(e["minutes"] > 0 for e in about["encoders"] if e["kind"] != "fbank")
    assert any("single sets" in sentence for sentence in about["cut"])
    results = json.loads((whole / "results.json").read_text())
    assert list(scores(whole)) == NAMES and all(len(values) == 2 for values in scores(whole).values())
    assert {(c["baseline"], c["encoder"]) for c in results["comparisons"]} >= {
        ("clr", "clr_it"),
        ("clr_longer", "clr_it"),
    }
    tried = [job for job in results["jobs"] if job["encoder"] == "clr"]
    assert len(tried) == 3 and sum(job["chosen"] for job in tried) == 2  # the other seed at the chosen rate alone
    assert not (whole / "states").exists() or not any((whole / "states").iterdir())


@pytest.mark.slow
def test_the_control_trains_as_long_as_mid_training_took(whole):
    minutes = {e["name"]: e["minutes"] for e in json.loads((whole / "study.json").read_text())["encoders"]}
    steps = yaml.safe_load((whole / "encoders/clr_longer/config.yaml").read_text())["optim"]["steps"]
    assert steps == 2 + round(2 * minutes["clr_it"] / minutes["clr"])


@pytest.mark.slow
def test_the_same_command_repeats_nothing(whole, place, capsys):
    files = [*whole.glob("encoders/*/encoder.pt"), *whole.glob("superb/**/result.json")]
    before = {file: file.stat().st_mtime_ns for file in files}
    assert len(files) == 5 + 6 * 2
    assert study(place, whole) == 0
    assert {file: file.stat().st_mtime_ns for file in files} == before
    assert "Written:" in capsys.readouterr().out


@pytest.mark.slow
def test_an_interrupted_study_ends_with_the_same_results(whole, place, monkeypatch):
    out = place / "interrupted"

    class Interrupted(study_run.Heads):
        def run(self, executor, progress):
            if self.encoder.name == "clr":
                raise KeyboardInterrupt
            return super().run(executor, progress)

    with monkeypatch.context() as patched:
        patched.setattr(study_run, "Heads", Interrupted)
        assert study(place, out) == 130
    (out / "encoders/untrained/encoder.pt").unlink()  # as if killed before it was written
    # Minutes differ from run to run, and with them the control's updates.
    about = json.loads((whole / "study.json").read_text())
    shutil.copy(whole / "study.json", out / "study.json")
    assert study(place, out) == 0
    assert json.loads((out / "study.json").read_text())["encoders"][2]["name"] == about["encoders"][2]["name"]
    both = scores(out), scores(whole)
    assert [{name: values for name, values in one.items() if name != "clr_longer"} for one in both][0] == {
        name: values for name, values in both[1].items() if name != "clr_longer"
    }


@pytest.mark.slow
def test_another_study_is_never_overwritten(whole, place, capsys):
    other = {**PLAN, "objectives": ["mae"]}
    (place / "other.yaml").write_text(yaml.safe_dump(other))
    data = ["--clips", str(place / "clips/manifest.tsv"), "--must-c", str(place / "must_c")]
    data += ["--data-root", str(place / "corpora"), "--device", "cpu"]
    assert main(["--scale", str(place / "other.yaml"), "--out", str(whole), *data]) == 2
    assert "holds another study" in capsys.readouterr().err
    assert main(["--scale", str(place / "plan.yaml"), "--out", str(place / "corpora"), *data]) == 2
    assert "holds no study" in capsys.readouterr().err
