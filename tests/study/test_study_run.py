"""`mmpt study` as a user runs it, on made-up data: a whole study, an interrupted one, and what is refused."""

import json
import shutil
import sys
import threading

import pytest
import yaml

from mmpt.scripts.study import main
from mmpt.study import run as study_run
from mmpt.training.sole_use import sole_use

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
    assert all(e["minutes"] > 0 for e in about["encoders"] if e["kind"] not in ("fbank", "untrained"))
    made_by = dict(about["made_by"])
    assert made_by["command"].startswith("mmpt study --scale ") and "torch" in made_by["software"]
    assert any("single sets" in sentence for sentence in about["cut"])
    assert about["is_trial"] and "This was a trial of the plan" in (whole / "study.md").read_text()
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
def test_what_a_kill_left_is_completed_to_the_same_results(whole, place):
    """An encoder that was not exported yet, and heads of two encoders that are missing or not tested."""
    out = place / "killed"
    shutil.copytree(whole, out)
    (out / "encoders/none_it/encoder.pt").unlink()
    shutil.rmtree(out / "encoders/none_it/translate")
    shutil.rmtree(out / "superb/ks/none_it")
    for file in (*out.glob("superb/ks/untrained/*/result.json"), out / "results.json", out / "study.md"):
        file.unlink()
    shutil.rmtree(out / "page")
    assert study(place, out, "--page") == 0
    assert ": not compared: " not in (out / "study.md").read_text() and not (out / "superb/ks/none_it").exists()
    assert study(place, out) == 0
    assert scores(out) == scores(whole)
    assert (out / "page/index.html").is_file() and (out / "study.md").is_file()


@pytest.mark.slow
def test_a_plan_that_has_grown_keeps_what_was_measured(whole, place):
    """A fourth objective in the plan, and an encoder of the user's; then that one is left out again."""
    plan, out = place / "grown.yaml", place / "grown"
    shutil.copytree(whole, out)
    about = json.loads((out / "study.json").read_text())
    (out / "study.json").write_text(json.dumps(about | {"plan": str(plan)}))
    plan.write_text(yaml.safe_dump({**PLAN, "objectives": ["clr", "mae"]}))
    data = ["--clips", str(place / "clips/manifest.tsv"), "--must-c", str(place / "must_c"), "--out", str(out)]
    data += ["--data-root", str(place / "corpora"), "--device", "cpu", "--steps", "2", "--page", "--scale", str(plan)]
    before = {encoder["name"]: encoder for encoder in about["encoders"]}
    for options, more in ((["--also", "own=fbank"], {"mae", "mae_it", "own"}), ([], {"mae", "mae_it"})):
        assert main([*data, *options]) == 0
        after = {e["name"]: e for e in json.loads((out / "study.json").read_text())["encoders"]}
        assert {name: after[name] for name in before} == before and after.keys() - before.keys() == more


@pytest.mark.slow
def test_ctrl_c_ends_a_study_with_status_130_and_the_same_command_goes_on(place, monkeypatch):
    """A command that Ctrl-C has ended exits with 130, and the study with it."""

    def interrupted(*arguments):
        sys.exit(130)

    monkeypatch.setattr(study_run, "train_encoder", interrupted)
    for _ in range(2):  # nothing was trained, yet it is known as a study
        with pytest.raises(SystemExit, match="130"):
            study(place, place / "interrupted")
    assert json.loads((place / "interrupted/study.json").read_text())["encoders"]


class Stopped(Exception):
    """Ends a study after its trainings."""


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_trainings_run_side_by_side_after_what_they_begin_with(place, monkeypatch, jobs):
    running, most, finished = set(), [], []
    together = threading.Barrier(2)

    def pretend(plan, encoder, world, steps, part):
        assert set(needs[encoder.name]) <= set(finished)
        running.add(encoder.name)
        most.append(len(running))
        if jobs == world.jobs == 2 and encoder.name in ("clr", "none_it"):  # neither ends unless both run
            together.wait(timeout=60)
        file = world.encoder_file(encoder.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        running.remove(encoder.name)
        finished.append(encoder.name)

    def stop(*arguments, **options):
        raise Stopped

    needs = dict.fromkeys(NAMES, ()) | {"clr_it": ["clr"], "clr_longer": ["clr", "clr_it"]}
    monkeypatch.setattr(study_run, "train_encoder", pretend)
    monkeypatch.setattr(study_run.Heads, "run", stop)
    monkeypatch.setattr(study_run.StudyRun, "_is_scored", lambda *_: False)
    monkeypatch.setattr(study_run.StudyRun, "_steps", lambda *_: 1)
    out = place / f"side{jobs}"
    with pytest.raises(Stopped):
        study(place, out, "--jobs", str(jobs))
    assert sorted(finished) == sorted(NAMES[1:]) and max(most) == jobs

    for name in ("none_it", "clr_it", "clr_longer"):
        (out / "encoders" / name / "encoder.pt").unlink()
    finished.clear()
    with pytest.raises(Stopped):
        study(place, out, "--jobs", "1")
    assert sorted(finished[:2]) == ["clr", "untrained"]  # others may wait for what is there


@pytest.mark.slow
def test_a_training_that_fails_ends_the_others(place, monkeypatch, capfd):
    """The pre-training cannot run; the mid-training beside it stops long before its million updates."""
    plan = {**PLAN, "pretrain": {**PLAN["pretrain"], "settings": ["optim.lr=-1"]}}
    plan["midtrain"] = {**PLAN["midtrain"], "steps": 1_000_000}
    (place / "failing.yaml").write_text(yaml.safe_dump(plan))
    data = ["--clips", str(place / "clips/manifest.tsv"), "--must-c", str(place / "must_c")]
    data += ["--data-root", str(place / "corpora"), "--device", "cpu", "--out", str(place / "failing")]
    with pytest.raises(SystemExit, match="2"):
        main(["--scale", str(place / "failing.yaml"), *data])
    printed = capfd.readouterr().err
    assert "pretrain/run.py failed" in printed and "midtrain/run.py failed" not in printed


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
    assert study(place, place / "nowhere", "--page") == 2 and not (place / "nowhere").exists()
    assert "holds no study" in capsys.readouterr().err


@pytest.mark.slow
def test_a_plan_that_has_lost_an_encoder_is_another_study(whole, place, capsys):
    plan, out = place / "changed.yaml", place / "changed"
    shutil.copytree(whole, out)
    about = json.loads((out / "study.json").read_text())
    (out / "study.json").write_text(json.dumps(about | {"plan": str(plan)}))
    plan.write_text(yaml.safe_dump({**PLAN, "objectives": ["mae"]}))
    assert study(place, out, "--scale", str(plan)) == 2
    assert "holds another study" in capsys.readouterr().err


@pytest.mark.slow
def test_other_data_are_another_study(whole, place, capsys):
    shutil.copytree(place / "clips", place / "other_clips")
    assert study(place, whole, "--clips", str(place / "other_clips/manifest.tsv")) == 2
    assert "holds another study" in capsys.readouterr().err


@pytest.mark.slow
def test_what_would_fail_after_hours_is_refused_before_the_trainings(whole, place, capsys):
    for options, problem in (
        (["--clips", "none.tsv"], "--clips none.tsv: there is no such file"),
        (["--must-c", str(place)], "no target language 'it' here"),
        (["--data-root", str(place / "clips")], "speech_commands"),
        (["--also", "clr=fbank"], "--also clr: the study has an encoder of that name"),
        (["--page", "--fresh"], "give one of them"),
    ):
        out = place / f"refused-{options[0]}"
        assert study(place, out, *options) == 2
        assert problem in capsys.readouterr().err and not (out / "encoders").exists()
    with sole_use(whole):
        assert study(place, whole) == 2
    assert "another call is writing here" in capsys.readouterr().err
