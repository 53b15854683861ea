"""run.py as typed: the learning rate by dev, the best checkpoint on test, a table; and its answers to bad input."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from mmpt.scripts.superb.run import main
from mmpt.superb import submitted_jobs
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder

from helpers.expert_folders import expert_folder
from helpers.stock_mocks import superb
from helpers.transformers_folders import save_model

SMALL_HEAD = ["--set", "downstream_expert.modelrc.RNNs.dim=[8]"]  # of ASR


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    superb(root / "noise")
    for seed, name in enumerate(("a", "b")):
        torch.manual_seed(seed)
        (root / name).mkdir()
        save_encoder(Encoder(EncoderConfig.preset("tiny")), root / name / "encoder.pt", {"stages": [{"stage": name}]})
    return root


def run(place, *arguments, out="out", bundles=False) -> int:
    small = [
        "--set",
        "downstream_expert.datarc.batch_size=4",
        "--device",
        "cpu",
        "--workers",
        "0",
        *([] if bundles else ["--no-bundles"]),
    ]
    return main(["--data-root", str(place / "noise"), "--out", str(place / out), *small, *arguments])


@pytest.mark.slow
def test_a_whole_run_and_the_same_again(place, capsys, few_lengths):
    command = [
        "--ckpt",
        str(place / "a/encoder.pt"),
        "--tasks",
        "ks,asr",
        "--lr",
        "1e-1,1e-9",
        "--limit",
        "3",
        "--jobs",
        "2",
    ]
    command += ["--cache", str(place / "states"), *SMALL_HEAD]
    assert run(place, *command, bundles=True) == 0
    printed = capsys.readouterr().out
    content = json.loads((place / "out/results.json").read_text())
    assert "| a " in printed and "KS accuracy ↑" in printed and "ASR clean WER ↓" in printed and "SMOKE RUN" in printed
    assert content["notes"][0].startswith("SMOKE RUN") and content["encoders"][0]["provenance"] == {
        "stages": [{"stage": "a"}]
    }
    assert (
        len(content["encoders"][0]["sha256"]) == 64
        and content["software"]["s3prl"] == "0.4.18"
        and "--limit 3" in content["command"]
    )
    jobs = {(job["task"], job["lr"]): job for job in content["jobs"]}
    for task in ("ks", "asr"):
        rates = [jobs[task, 1e-1], jobs[task, 1e-9]]
        assert sorted(job["state"] for job in rates) in (["evaluated", "trained"], ["evaluated", "evaluated"])
        chosen = next(job for job in rates if job["chosen"])
        assert chosen["state"] == "evaluated" and sum(job["chosen"] for job in rates) == 1
        scores = [job["dev_score"] for job in rates]
        assert chosen["dev_score"] == (max(scores) if task == "ks" else min(scores))
        assert {
            "dev_curve",
            "layer_weights",
            "seed",
            "command",
            "dropped",
            "checkpoint_step",
        } <= chosen.keys() and chosen["smoke"]
    assert list((place / "states").rglob("about.json"))
    manifest = json.loads((place / "out/bundles/a/manifest.json").read_text())
    assert (
        not manifest["submittable"]
        and manifest["tasks"].keys() == {"ks", "asr"}
        and (place / "out/bundles/a/predict.zip").is_file()
    )
    entry, scored = content["encoders"][0], json.loads((place / "out/bundles/a/score.json").read_text())
    assert entry["cost"]["parameters"] == 985_888 and entry["server_score"]["scores"] == {
        t: one["value"] for t, one in scored["scores"].items()
    }
    for job in content["jobs"]:
        if job["chosen"]:
            (split,) = job["scores"].keys() - {"test-other"}
            assert scored["scores"][job["task"]]["value"] == pytest.approx(
                job["scores"][split]["acc" if job["task"] == "ks" else "wer"]
            )
    assert "Bundles by the leaderboard's rules" in printed and "MACs" not in printed
    assert "data:image/png" in (place / "out/report/report.html").read_text()

    times = {file: file.stat().st_mtime_ns for file in (place / "out").rglob("*.log")}
    assert run(place, *command, bundles=True) == 0
    assert {file: file.stat().st_mtime_ns for file in (place / "out").rglob("*.log")} == times
    assert table_of(capsys.readouterr().out) == table_of(printed)
    assert json.loads((place / "out/results.json").read_text())["encoders"] == content["encoders"]


def table_of(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith("|")]


@pytest.mark.slow
def test_a_failed_job_does_not_stop_the_others(place, capsys):
    broken = place / "broken"
    shutil.copytree(place / "noise", broken)
    file = broken / "fluent_speech_commands_dataset/data/valid_data.csv"
    file.write_text(file.read_text().replace("lamp", "radio"))
    command = ["--ckpt", str(place / "a/encoder.pt"), "--tasks", "ic,ks", "--limit", "2", "--data-root", str(broken)]
    assert run(place, *command, out="failing") == 2
    assert "error: ic: 1 values of 'object'" in capsys.readouterr().err and not (place / "failing/ks").exists()
    assert run(place, *command, "--no-check", out="failing") == 1
    printed = capsys.readouterr().out
    assert "KeyError" in printed and "failed: ic a seed 1337" in printed
    states = {job["task"]: job for job in json.loads((place / "failing/results.json").read_text())["jobs"]}
    assert (
        states["ks"]["state"] == "evaluated"
        and states["ic"]["state"] == "failed"
        and "radio" in states["ic"]["failure"]
    )


@pytest.mark.slow
def test_the_same_on_slurm(place, capsys, tmp_path, monkeypatch):
    """Slurm's commands are stood in for: sbatch runs the script that it is given at once, on this machine."""
    commands = shutil.copytree(Path(__file__).parent / "fake_slurm", tmp_path / "commands")
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    command = ["--ckpt", str(place / "a/encoder.pt"), "--tasks", "ks", "--limit", "2", "--executor", "slurm"]
    assert run(place, *command, "--slurm", "partition=gpu", "--slurm", "time=90", out="slurm") == 0
    assert json.loads((place / "slurm/results.json").read_text())["jobs"][0]["state"] == "evaluated"
    script = next(commands.glob("script-*")).read_text()
    assert "#SBATCH --partition=gpu" in script and "#SBATCH --time=90" in script and "#SBATCH --signal=USR2" in script
    assert "#SBATCH --cpus-per-task=8" in script and "--cpus-per-task=8" in script.split("\nsrun ")[1]


@pytest.mark.parametrize("options, cores", [({}, 8), ({"cpus-per-task": "4"}, 4)])
def test_a_job_s_step_has_the_cores_of_the_job(tmp_path, monkeypatch, options, cores):
    monkeypatch.setattr("mmpt.superb.submitted_jobs.shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("submitit.slurm.slurm.SlurmExecutor.affinity", classmethod(lambda cls: 1))
    slurm = submitted_jobs.slurm_jobs(tmp_path, options, 8, 0).executor._executor
    assert slurm.parameters["cpus_per_task"] == cores
    assert slurm.parameters["srun_args"] == [f"--cpus-per-task={cores}"]


def test_a_dry_run_lists_the_jobs(place, capsys):
    encoders = [
        "--ckpt",
        f"first={place / 'a/encoder.pt'}",
        "--ckpt",
        str(place / "b/encoder.pt"),
        "--encoder",
        "fbank",
    ]
    assert run(place, *encoders, "--seeds", "1,2", "--lr", "1e-2,1e-3", "--dry-run", out="dry") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if ": python run_downstream.py" in line]
    assert (
        len(lines) == 5 * 3 * 2 * 2
        and lines[0].startswith("ks first lr 1e-2 seed 1: ")
        and not (place / "dry/ks").exists()
    )


@pytest.mark.slow
def test_denser_states(place, capsys):
    """Checked first, when the file of the option is not written yet."""
    assert (
        run(
            place,
            "--ckpt",
            str(place / "a/encoder.pt"),
            "--encoder",
            "fbank",
            "--tasks",
            "asr",
            "--limit",
            "2",
            "--frame-hop",
            "320",
            *SMALL_HEAD,
            out="dense",
        )
        == 0
    )
    logs = {
        name: (place / f"dense/asr/{name}/lr-default-seed1337/train.log").read_text(errors="replace")
        for name in ("a", "fbank")
    }
    assert "downsample rate is 320" in logs["a"] and "downsample rate is 160" in logs["fbank"]
    assert "downsample rate is 320" in (place / "dense/asr/a/lr-default-seed1337/evaluate.log").read_text(
        errors="replace"
    )


def test_encoders_of_all_kinds_get_their_flags_in_the_order_typed(place, capsys):
    good = expert_folder(place / "mine/good")
    encoders = ["--encoder", "fbank", "--expert", f"{place}/mine/good", "--ckpt", str(place / "a/encoder.pt")]
    encoders += [
        "--encoder",
        "w=wav2vec2_url:https://host/x.pt?v=1",
        "--encoder",
        f"o=x_local:{place}/a/encoder.pt:{good}/net.py",
    ]
    assert run(place, *encoders, "--tasks", "ks", "--cache", str(place / "states"), "--dry-run", out="dry") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if ": python run_downstream.py" in line]
    assert [line.split()[1] for line in lines] == ["fbank", "good", "a", "w", "o"]
    assert all("--cache" in line for line in lines)
    assert f"-u {good} " in lines[1] and f"-k {good}/model.pt" in lines[1]
    assert "-u wav2vec2_url" in lines[3] and "-k 'https://host/x.pt?v=1'" in lines[3]
    assert f"-k {place}/a/encoder.pt" in lines[4] and f"-g {good}/net.py" in lines[4]


@pytest.mark.slow
def test_a_run_with_someones_expert(place, capsys):
    """Its rate for CTC, its cost and its bundle come from processes of its own; a change of its code is noticed."""
    folder = expert_folder(place / "theirs/best")
    command = ["--expert", f"{folder}", "--tasks", "asr", "--limit", "2", "--cache", str(place / "kept"), *SMALL_HEAD]
    assert run(place, *command, out="theirs-out", bundles=True) == 0
    (entry,) = json.loads((place / "theirs-out/results.json").read_text())["encoders"]
    assert entry["identity"].startswith("best/") and entry["upstream"] == str(folder) and entry["provenance"] is None
    assert entry["checkpoint"] == str(folder / "model.pt") and entry["cost"]["parameters"] == 8
    manifest = json.loads((place / "theirs-out/bundles/best/manifest.json").read_text())
    assert "requirements.txt" in manifest["no_hidden_set_because"] and manifest["encoder"]["frame_hop"] == 320
    assert "cache: " in (place / "theirs-out/asr/best/lr-default-seed1337/train.log").read_text(errors="replace")
    capsys.readouterr()
    (folder / "net.py").write_text((folder / "net.py").read_text() + "# changed\n")
    assert run(place, *command, out="theirs-out", bundles=True) == 2
    assert "another encoder or other data" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_with_an_encoder_of_transformers(place, capsys):
    """It is known by its content, its states are kept, and its bundle has the public set alone."""
    folder = save_model("wavlm", place / "wavlm")
    command = ["--encoder", f"w=hf:{folder}", "--tasks", "ks", "--limit", "2", "--cache", str(place / "kept-w")]
    assert run(place, *command, out="hf-out", bundles=True) == 0
    content = json.loads((place / "hf-out/results.json").read_text())
    (entry,), (job,) = content["encoders"], content["jobs"]
    assert entry["upstream"] == "hf" and entry["checkpoint"] == str(folder) and entry["provenance"] is None
    assert entry["cost"]["parameters"] > 0 and job["state"] == "evaluated" and len(job["layer_weights"]) == 4
    manifest = json.loads((place / "hf-out/bundles/w/manifest.json").read_text())
    assert manifest["tasks"].keys() == {"ks"} and manifest["no_hidden_set_because"]
    assert list((place / "kept-w").rglob("about.json"))
    assert save_model("wavlm", place / "wavlm", num_hidden_layers=2) == folder
    assert run(place, *command, out="hf-out", bundles=True) == 2
    assert "another encoder or other data" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "nothing to score"),
        (["--ckpt", "absent.pt"], "--ckpt absent.pt: no such encoder"),
        (["--encoder", "mmpt_av:absent.pt"], "absent.pt: no such encoder checkpoint"),
        (["--encoder", "mmpt_av"], "--encoder mmpt_av: no such encoder checkpoint"),
        (["--encoder", "hubert_local:absent.pt"], "absent.pt: no such encoder checkpoint (of hubert_local)"),
        (["--expert", "absent"], "./absent: no such folder"),
        (["--encoder", "fbank", "--encoder", "fbank"], "two encoders are called fbank"),
        (["--ckpt", "A", "--ckpt", "A"], "two encoders are called a"),
        (["--ckpt", "A", "--tasks", "xx"], "no task is called 'xx'"),
        (["--ckpt", "A", "--lr", "fast"], "--lr and --seeds are numbers"),
        (["--ckpt", "A", "--lr", "-1"], "a learning rate is a number above 0"),
        (["--ckpt", "A", "--lr", "inf"], "a learning rate is a number above 0"),
        (["--ckpt", "A", "--seeds", "x"], "--lr and --seeds are numbers"),
        (["--ckpt", "A", "--workers", "-1"], "--workers must be at least 0"),
        (["--ckpt", "A", "--cache-dtype", "float32"], "--cache-dtype and --cache-limit are for --cache"),
        (["--ckpt", "A", "--slurm", "partition=gpu"], "--slurm is for --executor slurm"),
        (["--encoder", "fbank", "--frame-hop", "320"], "--frame-hop is for encoders of ours (--ckpt)"),
        (["--encoder", "hf"], "hf: which encoder?"),
        (["--ckpt", "A", "--set", "runner.total_steps"], "not of the form KEY=VALUE"),
        (["--ckpt", "A", "--config", "asr=absent"], "no such file"),
        (["--ckpt", "A", "--cache", "c", "--fine-tune"], "leave out either"),
        (["--ckpt", "A", "--limit", "0"], "at least 1"),
        (["--ckpt", "A", "--tasks", "ks", "--lexicon", "x"], "--lexicon is for the task pr"),
        (["--ckpt", "A", "--executor", "slurm"], "there is no srun here"),
        (["--ckpt", "A", "--data-root", "absent"], "absent"),
    ],
)
def test_bad_input_is_one_line(place, capsys, monkeypatch, arguments, message):
    monkeypatch.setenv("PATH", "/nonexistent")
    arguments = [str(place / "a/encoder.pt") if word == "A" else word for word in arguments]
    assert run(place, *arguments, out="bad") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and message in error


@pytest.mark.slow
def test_a_hop_may_be_asked_of_our_encoder_by_either_flag(place, capsys):
    data = ["--tasks", "ks", "--data-root", str(place / "noise"), "--frame-hop", "320", "--dry-run"]
    for flag in (["--ckpt", str(place / "a/encoder.pt")], ["--encoder", f"mmpt_av:{place / 'a/encoder.pt'}"]):
        assert run(place, *flag, *data, out="hop") == 0
        assert "mmpt_av.yaml" in capsys.readouterr().out
