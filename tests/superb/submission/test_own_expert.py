"""Bundles of encoders that are not ours: each has a public set, and a folder that S3PRL's loader takes a hidden one."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from mmpt.scripts.superb.submit import main as submit
from mmpt.superb import encoder_figures
from mmpt.superb.cost import Cost
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.submission import run_results
from mmpt.superb.submission.own_expert import write_own_expert

import helpers.fake_superb_run as fake
from helpers.expert_folders import expert_folder

HOP = fake.HOP


@pytest.fixture
def folder(tmp_path) -> Path:
    """An expert of the rate of the made-up predictions."""
    made = expert_folder(tmp_path / "mine/good", imports="from net import Net")  # flat, as S3PRL's loader wants it
    for file in made.glob("*.py"):
        file.write_text(file.read_text().replace("320", str(HOP)))
    (made / "requirements.txt").write_text("torch\n")
    return made


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A run of one encoder; `scored` makes it another's."""
    monkeypatch.setattr(encoder_figures, "cost", lambda encoder: Cost(8, dict.fromkeys(("short", "long"), 5)))
    monkeypatch.setattr(run_results, "rate", lambda encoder: HOP)
    return fake.results(tmp_path, {"mine": fake.encoder(tmp_path / "x", fake.PRE)}, tasks=("ks", "sd"))


def scored(run: Path, encoder: ScoredEncoder) -> None:
    content = json.loads((run / "results.json").read_text())
    content["encoders"][0] |= {
        "upstream": encoder.upstream,
        "checkpoint": encoder.checkpoint and str(encoder.checkpoint),
        "identity": encoder.identity,
        "sha256": None,
        "provenance": None,
    }
    (run / "results.json").write_text(json.dumps(content))


def bundle(run: Path) -> dict:
    out = run.parent / "bundle"
    assert submit(["--results", str(run), "--out", str(out), "--allow-partial", "--fresh"]) == 0
    return json.loads((out / "manifest.json").read_text())


@pytest.mark.slow
def test_a_folder_becomes_the_hidden_set_if_s3prls_loader_takes_it(run, folder, capsys):
    scored(run, ScoredEncoder("mine", str(folder), str(folder / "model.pt")))
    manifest, out = bundle(run), run.parent / "bundle"
    assert manifest["no_hidden_set_because"] is None and manifest["encoder"]["upstream"] == "good"
    assert {file.name for file in (out / "hidden").iterdir()} == {"expert.py", "net.py", "model.pt", "requirements.txt"}
    form = yaml.safe_load((out / "form.yaml").read_text())
    assert form["stride"] == 40 and form["paramShared"] == 8 and form["macs"] == 10 and form["corpus"] == "not known"
    assert "good: expert of one's own, frozen." in form["modelDesc"] and (out / "hidden-form.yaml").is_file()
    assert manifest["challenge_track"]["eligible"] is False

    (folder / "expert.py").write_text((folder / "expert.py").read_text().replace("from net", "from .net"))
    scored(run, ScoredEncoder("mine", str(folder), str(folder / "model.pt")))
    manifest = bundle(run)
    assert "attempted relative import" in manifest["no_hidden_set_because"]
    assert not (out / "hidden").exists() and not (out / "hidden-form.yaml").exists() and (out / "predict.zip").is_file()
    assert "no hidden set: S3PRL's loader cannot import the folder flat" in capsys.readouterr().out


def test_an_entry_of_the_hub_has_a_public_set_alone(run, tmp_path, capsys):
    scored(run, ScoredEncoder("mine", "wav2vec2_url", "https://host/x.pt"))
    manifest = bundle(run)
    assert "wants a folder with expert.py" in manifest["no_hidden_set_because"]
    assert manifest["encoder"]["identity"] == "wav2vec2_url:https://host/x.pt"
    assert "S3PRL's upstream wav2vec2_url" in yaml.safe_load((tmp_path / "bundle/form.yaml").read_text())["modelDesc"]
    scored(run, ScoredEncoder("mine", "fbank"))
    assert submit(["--results", str(run), "--out", str(tmp_path / "other"), "--allow-partial"]) == 2
    assert "which are on the board already" in capsys.readouterr().err


def test_another_encoder_than_the_one_scored_is_refused(run, folder, capsys):
    scored(run, ScoredEncoder("mine", str(folder), str(folder / "model.pt")))
    (folder / "net.py").write_text("# other code\n")
    arguments = ["--results", str(run), "--out", str(run.parent / "bundle"), "--allow-partial"]
    assert submit(arguments) == 2 and "is no longer the encoder that was scored" in capsys.readouterr().err
    shutil.rmtree(folder)
    assert submit(arguments) == 2 and "is not there any more; score mine again" in capsys.readouterr().err


def test_what_s3prls_loader_could_not_do(tmp_path, folder):
    def reason(*encoder) -> str | None:
        return write_own_expert(tmp_path / "hidden", ScoredEncoder("mine", *encoder), HOP)

    assert "wants a folder" in str(reason("hf", "me/mine"))
    assert "passes no configuration" in str(reason(str(folder), None, str(folder / "net.py")))
    assert "passes one file" in str(reason(str(folder), "https://host/x.pt"))
    (folder / "requirements.txt").unlink()
    assert "has no requirements.txt" in str(reason(str(folder)))
    assert not (tmp_path / "hidden").exists()
