"""submit.py as typed: a bundle's files, the server's scores of it, and each fault that stops it."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from mmpt.scripts.superb.score import main as score
from mmpt.scripts.superb.submit import main as submit
from mmpt.superb import encoder_figures
from mmpt.superb.cost import Cost
from mmpt.superb.submission import bundle as bundles
from mmpt.superb.submission import hidden_set, public_set
from mmpt.upstream.mmpt_av.checkpoint import file_hash
from mmpt.upstream.s3prl_runner import experiment

import helpers.fake_superb_run as fake
from helpers.server_mock import serve

TRUTHS = {
    "ks": "ks/{0}/lr-default-seed1/experiment/test_truth.txt",
    "ic": "ic/{0}/lr-default-seed1/experiment/test_truth.csv",
    "pr": "pr/{0}/lr-default-seed1/experiment/test-ref.ark",
    "asr": "asr/{0}/lr-default-seed1/experiment/test-clean-noLM-ref.ark",
    "sd": "../corpora/diarization/test/rttm",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("submit")
    encoders = {
        name: fake.encoder(root / name, *stages)
        for name, stages in {"pre": [fake.PRE], "mid": [fake.PRE, fake.MID]}.items()
    }
    return fake.results(root, encoders, seeds=(1, 2))


@pytest.fixture
def run(made, tmp_path):
    """A copy that may be spoilt; the corpora and encoders stay where they are."""
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture(autouse=True)
def quick(monkeypatch, request):
    """Measure no cost (test_cost.py does), and import the hidden set only in the tests about it."""
    cost = Cost(985_888, {"short": 1, "medium": 2, "long": 3, "longer": 4})
    monkeypatch.setattr(encoder_figures, "cost", lambda encoder: cost)
    if "imported" not in request.keywords:
        monkeypatch.setattr(bundles, "check_hidden_set", lambda *_: [])


def bundle(run, *arguments, out="bundle", encoder="mid") -> int:
    return submit(["--results", str(run), "--out", str(run.parent / out), "--encoder", encoder, *arguments])


@pytest.mark.slow
@pytest.mark.imported
def test_a_trial_bundle(run, capsys):
    assert bundle(run, "--allow-partial", "--url", "https://github.com/me/mine") == 0
    printed, out = capsys.readouterr().out, run.parent / "bundle"
    assert "NOT SUBMITTABLE" in printed and "ks: 12 test items, and the leaderboard's set has 3,081" in printed
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["submittable"] is False and manifest["not_submittable_because"]
    assert (
        manifest["challenge_track"]["eligible"] is False
        and "bars pairs of audio and text" in manifest["challenge_track"]["reason"]
    )
    files = {file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file()}
    assert files - {"manifest.json"} == set(manifest["files"])
    assert all(file_hash(out / name) == entry["sha256"] for name, entry in manifest["files"].items())
    assert {
        "predict.zip",
        "form.yaml",
        "hidden-form.yaml",
        "hidden/expert.py",
        "hidden/model.pt",
        "hidden/requirements.txt",
        "hidden/README.md",
        "hidden/LICENSE",
        "hidden/mmpt_av/encoder.py",
        "dev/sd/frame_shift",
        "dev/sd/dev0.h5",
    } <= files
    form = yaml.safe_load((out / "form.yaml").read_text())
    assert form["stride"] == 40 and form["macs"] == 10 and form["macsLonger"] == 4 and form["paramShared"] == 985_888
    assert form["taskSpecParam"] == 5 * 45 and form["fineTunedParam"] == 0 and form["task"] == "1"
    assert (
        "lrs3 (pretrain, 31,982 clips)" in form["corpus"]
        and "must_c en-it" in form["modelDesc"]
        and "Not SSL only" in form["modelDesc"]
    )
    assert "must_c en-it" in (out / "hidden/README.md").read_text()


def test_the_servers_reader_takes_the_zip_and_agrees_with_score(run, capsys):
    bundle(run, "--allow-partial")
    truths = {task: run / name.format("mid") for task, name in TRUTHS.items()}
    truths["sd"] = fake_corpora(run) / "diarization/test/rttm"
    served = serve(run.parent / "bundle/predict.zip", truths)
    command = capsys.readouterr().out.split("score.py ")[1].split()
    assert score(command) == 0
    content = json.loads((run.parent / "bundle/score.json").read_text())
    assert served.keys() == content["scores"].keys() == {"ks", "ic", "pr", "sd", "asr"}
    for task, entry in content["scores"].items():
        assert entry["value"] == pytest.approx(served[task], abs=2e-3 if task == "sd" else 1e-9), (
            task
        )  # SD: frames of 5 ms against exact times
        assert 0 < entry["value"] < 1
    assert content["diarization"]["chosen_on_dev"] and content["superb_s"] is not None


def fake_corpora(run) -> Path:
    content = json.loads((run / "results.json").read_text())
    return Path(content["encoders"][0]["checkpoint"]).parents[1] / "corpora"


def test_equal_results_give_equal_bytes_and_nothing_is_replaced_unasked(run, capsys):
    for out in ("bundle", "again"):
        assert bundle(run, "--allow-partial", out=out) == 0
    assert (run.parent / "bundle/predict.zip").read_bytes() == (run.parent / "again/predict.zip").read_bytes()
    manifests = [json.loads((run.parent / out / "manifest.json").read_text()) for out in ("bundle", "again")]
    assert manifests[0] == manifests[1]
    assert bundle(run, "--allow-partial") == 2 and "--fresh replaces a bundle" in capsys.readouterr().err
    (run.parent / "bundle/score.json").write_text("{}")
    assert bundle(run, "--allow-partial", "--fresh") == 0 and not (run.parent / "bundle/score.json").exists()
    (run.parent / "mine").mkdir()
    assert bundle(run, "--allow-partial", "--fresh", out="mine") == 2 and "is not a bundle" in capsys.readouterr().err


def test_a_bundle_that_cannot_be_submitted_needs_allow_partial(run, capsys):
    assert bundle(run) == 2
    printed = capsys.readouterr()
    assert (
        "--allow-partial makes a trial bundle" in printed.err
        and "sd: 2 test items, and the leaderboard's set has 3,000" in printed.out
    )
    assert not (run.parent / "bundle").exists()


def test_the_boards_own_sizes_and_settings_can_be_submitted(run, monkeypatch):
    monkeypatch.setattr(public_set, "PUBLISHED_TEST", {"ks": 12, "ic": 6, "pr": 6, "asr": 6, "sd": 2})
    monkeypatch.setattr(public_set, "BOARD_LEXICONS", ["samples-lexicon.txt"])
    edit_jobs(run, smoke=False)
    assert bundle(run, "--url", "https://github.com/me/mine", encoder="pre") == 0
    manifest = json.loads((run.parent / "bundle/manifest.json").read_text())
    assert manifest["submittable"] and manifest["challenge_track"] == {
        "eligible": True,
        "reason": "eligible for the challenge track: no text took part in its training",
    }


@pytest.mark.parametrize(
    "change, message",
    [
        ({"smoke": True}, "ks: trained with the samples' settings"),
        ({"checkpoint_is_best_on_dev": False}, "ic: S3PRL wrote no best checkpoint"),
        (
            {"changed": ["--set runner.total_steps=9"]},
            "pr: settings were changed, which is not the constrained track's protocol: --set runner.total_steps=9",
        ),
    ],
)
def test_settings_outside_the_track_are_named(run, capsys, change, message):
    edit_jobs(run, **{"smoke": False, **change})
    assert bundle(run) == 2
    assert message in capsys.readouterr().out


def edit_jobs(run, **change) -> None:
    content = json.loads((run / "results.json").read_text())
    for job in content["jobs"]:
        job.update(change)
        job["folder"] = str(run / Path(*Path(job["folder"]).parts[-3:]))
    (run / "results.json").write_text(json.dumps(content))


def scored_again(run, task: str) -> None:
    content = json.loads((run / "results.json").read_text())
    for job in content["jobs"]:
        if job["task"] == task:
            folder = Path(job["folder"], "experiment")
            job["scores"] = {split: experiment.score(folder, task, split) for split in job["scores"]}
    (run / "results.json").write_text(json.dumps(content))


def append(text):
    return lambda file: file.write_text(file.read_text() + text)


def cut(file):
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def replace(old, new):
    return lambda file: file.write_text(file.read_text().replace(old, new))


def table(change):
    def spoil(file):
        with h5py.File(file, "r+") as content:
            found = change(content["T_hat"][:])
            del content["T_hat"]
            content["T_hat"] = found

    return spoil


SD = "scoring/predictions/test0.h5"


@pytest.mark.parametrize(
    "task, name, spoil, message",
    [
        ("ks", "test_predict.txt", cut, "1 ids are missing: yes-m4_nohash_0.wav"),
        ("ks", "test_predict.txt", append("x.wav up\n"), "1 ids are not in the test set"),
        ("ks", "test_predict.txt", append("yes-m4_nohash_0.wav up\n"), "1 ids occur more than once"),
        ("ks", "test_predict.txt", replace(" up\n", " sheep\n"), "labels that are no class: sheep"),
        (
            "ks",
            "test_predict.txt",
            lambda f: f.write_bytes(f.read_bytes() + b"\0\1\2"),
            "libmagic calls it application/octet-stream",
        ),
        ("ks", "test_predict.txt", Path.unlink, "test_predict.txt: No such file"),
        (
            "ks",
            "test_predict.txt",
            lambda f: f.write_text(f.with_name("test_truth.txt").read_text()),
            "its predictions give another acc than results.json",
        ),
        ("ic", "test_predict.csv", replace("lamp", "soap"), "intents with a value outside the inventory: on,soap,none"),
        ("ic", "test_predict.csv", cut, "1 ids are missing: test5"),
        ("pr", "test-hyp.ark", replace("AA0", "QQ"), "phones outside the inventory: QQ"),
        ("pr", "test-hyp.ark", cut, "1 ids are missing: 2-7-0005"),
        ("asr", "test-clean-noLM-hyp.ark", replace("WORD", "wörd"), "characters outside the dictionary"),
        ("asr", "test-clean-noLM-hyp.ark", lambda f: f.write_text(f.read_text(), encoding="utf-16"), "not UTF-8"),
        (
            "asr",
            "test-clean-LM-hyp.ark",
            lambda f: f.write_text("other A\n"),
            "asr_lm_public/predict.ark: 6 ids are missing",
        ),
        ("sd", SD, Path.unlink, "1 ids are missing: test0"),
        ("sd", SD, table(lambda t: t + 1), "values that are no probabilities"),
        ("sd", SD, table(lambda t: t[:-3]), "97 frames of 640 samples, but 4.00 s are 100"),
        ("sd", SD, table(lambda t: np.concatenate([t, t], axis=1)), "4 speakers, expected 2"),
        ("sd", SD, lambda f: f.write_bytes(f.read_bytes()[:500]), "cannot be read as HDF5"),
        ("sd", "frame_shift", Path.unlink, "frame_shift is missing (the server would take 160)"),
        ("sd", "frame_shift", lambda f: f.write_text("160\n"), "100 frames of 160 samples, but 4.00 s are 400"),
    ],
)
def test_each_fault_is_named_even_with_allow_partial(run, capsys, task, name, spoil, message):
    edit_jobs(run)
    spoil(run / task / "mid/lr-default-seed1/experiment" / name)
    assert bundle(run, "--allow-partial") == 2
    printed = capsys.readouterr()
    assert message in printed.out + printed.err and printed.err.count("\n") == 1
    assert not (run.parent / "bundle").exists() and not list(run.parent.glob(".bundle*"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--name", "a name of more than twenty characters"], "submitName has 37 characters, and the form takes 20"),
        (["--url", "https://gitlab.com/me/mine"], "modelURL must be an address at https://github.com/"),
        (["--description", "long " * 40], "characters, and the form takes 300: long long"),
    ],
)
def test_the_form_is_checked(run, capsys, arguments, message):
    assert bundle(run, "--allow-partial", *arguments) == 0
    assert message in capsys.readouterr().out


def test_the_data_are_disclosed_with_any_description(run):
    assert bundle(run, "--allow-partial", "--description", "A good one.") == 0
    description = yaml.safe_load((run.parent / "bundle/form.yaml").read_text())["modelDesc"]
    assert description.startswith("A good one. Weights: pretrain clr on lrs3 (200 steps); midtrain")
    assert "Not SSL only" in description


def test_two_bundles_side_by_side(run, capsys):
    assert submit(["--results", str(run), "--out", str(run.parent / "both"), "--allow-partial"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert (
        "not eligible" not in rows[1]
        and rows[1].startswith("| pre")
        and "not eligible" in rows[2]
        and rows[2].startswith("| mid")
    )
    assert (run.parent / "both/pre/predict.zip").is_file() and (run.parent / "both/mid/predict.zip").is_file()


def test_a_run_that_was_moved_and_another_seed(run):
    shutil.move(run, run.parent / "moved")
    moved = run.parent / "moved"
    assert bundle(moved, "--allow-partial", "--seed", "2") == 0
    manifest = json.loads((run.parent / "bundle/manifest.json").read_text())
    assert manifest["head_seed"] == 2


@pytest.mark.slow
@pytest.mark.imported
def test_denser_states_are_those_of_the_hidden_set(run):
    edit_jobs(run)
    for task in fake.SCORES:
        (run / task / "mid/lr-default-seed1/mmpt_av.yaml").write_text("frame_hop: 320\n")
    for file in (run / "sd/mid/lr-default-seed1/experiment/scoring/predictions").glob("*.h5"):
        table(lambda t: t.repeat(2, axis=0))(file)
    (run / "sd/mid/lr-default-seed1/experiment/frame_shift").write_text("320\n")
    scored_again(run, "sd")
    assert bundle(run, "--allow-partial") == 0
    assert yaml.safe_load((run.parent / "bundle/form.yaml").read_text())["stride"] == 20
    content = torch.load(run.parent / "bundle/hidden/model.pt", weights_only=True)
    assert content["config"]["frame_hop"] == 320


def test_tasks_of_different_hops_are_no_submission(run, capsys):
    edit_jobs(run)
    (run / "ks/mid/lr-default-seed1/mmpt_av.yaml").write_text("frame_hop: 320\n")
    assert bundle(run, "--allow-partial") == 2
    assert "hops of 320 and 640 samples" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "file, spoil, message",
    [
        ("expert.py", Path.unlink, "No module named 'expert'"),
        ("mmpt_av/gather.py", Path.unlink, "cannot be imported as S3PRL does it"),
        (
            "mmpt_av/encoder.py",
            lambda f: f.write_text("import mmpt.upstream.mmpt_av.encoder\n" + f.read_text()),
            "is not in the folder",
        ),
        ("model.pt", lambda f: f.write_bytes(f.read_bytes()[:-100]), "model.pt"),
    ],
)
def test_a_hidden_set_that_does_not_work_is_named(run, tmp_path, file, spoil, message):
    bundle(run, "--allow-partial")
    hidden, encoder = run.parent / "bundle/hidden", fake_corpora(run).parent / "mid/encoder.pt"
    assert hidden_set.check_hidden_set(hidden, encoder, 640) == []
    spoil(hidden / file)
    (line,) = hidden_set.check_hidden_set(hidden, encoder, 640)
    assert message in line


@pytest.mark.slow
def test_a_hidden_set_of_other_weights_is_named(run):
    bundle(run, "--allow-partial")
    other = fake.encoder(run.parent / "other", fake.PRE, seed=1)
    (line,) = hidden_set.check_hidden_set(run.parent / "bundle/hidden", other, 640)
    assert "computes other states" in line


def test_push_uploads_the_folder_and_notes_the_commit(run, monkeypatch, capsys):
    seen = {}

    class Hub:
        def create_repo(self, repository, private, exist_ok):
            seen["repository"] = (repository, private, exist_ok)

        def upload_folder(self, repo_id, folder_path, commit_message):
            seen["files"] = {file.name for file in Path(folder_path).iterdir()}
            return type("Commit", (), {"oid": "0123456789" * 4})

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    assert bundle(run, "--allow-partial", "--push", "me/mine") == 0
    assert seen["repository"] == ("me/mine", True, True)
    assert {"expert.py", "model.pt", "requirements.txt", "README.md", "LICENSE", "mmpt_av"} == seen["files"]
    form = yaml.safe_load((run.parent / "bundle/hidden-form.yaml").read_text())
    assert (
        form["huggingfaceOrganizationName"] == "me"
        and form["huggingfaceRepoName"] == "mine"
        and form["huggingfaceCommonHash"] == "0123456789" * 4
    )
    assert "let the organisers read it" in capsys.readouterr().out


def test_push_without_a_login_is_one_line(run, monkeypatch, capsys):
    from huggingface_hub.errors import LocalTokenNotFoundError

    class Hub:
        def create_repo(self, *_, **__):
            raise LocalTokenNotFoundError("no token")

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    assert bundle(run, "--allow-partial", "--push", "me/mine") == 2
    assert "nobody is logged in" in capsys.readouterr().err


@pytest.mark.parametrize(
    "spoil, arguments, message",
    [
        (
            lambda run: (run / "results.json").unlink(),
            [],
            "results.json: No such file or directory; mmpt superb run writes it",
        ),
        (lambda run: (run / "results.json").write_text("[]"), [], "is not what mmpt superb run writes"),
        (lambda run: None, ["--seed", "7"], "no task of mid was scored on test with seed 7; there are 1, 2"),
        (lambda run: None, ["--encoder", "else"], "no encoder to submit is called 'else'; there are pre, mid"),
        (
            lambda run: None,
            ["--encoder", "pre", "--push", "me/mine"],
            "--push, --name and --description are of one encoder",
        ),
        (lambda run: edit_prediction(run), [], "the predictions are of step 2; run the task again"),
    ],
)
def test_bad_input_is_one_line(run, capsys, spoil, arguments, message):
    spoil(run)
    assert bundle(run, "--allow-partial", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def edit_prediction(run) -> None:
    edit_jobs(run, prediction_of_step=2)


def test_the_manifest_tells_which_learning_rates_dev_chose(run):
    results = run / "results.json"
    content = json.loads(results.read_text())
    first = next(job for job in content["jobs"] if (job["task"], job["encoder"]) == ("ks", "mid"))
    content["jobs"].append({**first, "lr": 0.01, "chosen": False, "state": "trained"})
    results.write_text(json.dumps(content))
    assert bundle(run, "--allow-partial") == 0
    tasks = json.loads((run.parent / "bundle/manifest.json").read_text())["tasks"]
    assert {one["lr"] for one in tasks.values()} == {0.1}
    assert [task for task, one in tasks.items() if one["lr_chosen_on_dev"]] == ["ks"]
