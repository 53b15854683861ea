"""S3PRL's runner itself, started as a user starts it, over a few steps on corpora of noise."""

import json
import os
import subprocess
import sys

import pytest
import soundfile
import torch

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.repository import REPOSITORY
from mmpt.upstream.s3prl_runner.experiment import dev_curve, score
from mmpt.upstream.s3prl_runner.launcher import read_checkpoint

from helpers.stock_mocks import superb

TASKS = ["ks", "ic", "pr", "sd", "asr"]

TWO_STEPS = (
    "config.runner.total_steps=2,,config.runner.eval_step=2,,config.runner.save_step=1,,config.runner.log_step=1"
)
TINY_ASR = ",,config.downstream_expert.datarc.batch_size=2,,config.downstream_expert.modelrc.RNNs.dim=[8,8]"

# One process for all commands, since importing S3PRL takes longer than any of them.
RUN_THEM = """
import contextlib, io, json, sys, traceback
from mmpt.upstream.s3prl_runner.launcher import main
sys.argv = ["run_downstream.py"]
results = {}
for name, argv in json.load(sys.stdin).items():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(argv)
        except BaseException:
            status = traceback.format_exc()
    results[name] = [status, out.getvalue(), err.getvalue()]
json.dump(results, sys.stdout)
"""


def python(arguments, folder, stdin=None):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with an untrained encoder in runs/, and corpora of noise."""
    root = tmp_path_factory.mktemp("stock")
    samples = superb(root / "noise")
    (root / "runs" / "untrained").mkdir(parents=True)
    torch.manual_seed(0)
    save_encoder(Encoder(EncoderConfig.preset("tiny")), root / "runs" / "untrained" / "encoder.pt", {"stages": []})
    return root, samples


@pytest.fixture(scope="module")
def runs(place):
    """Outcome (status, standard output, standard error) of many commands, by name."""
    root, samples = place
    (root / "damaged.pt").write_bytes((root / "runs/untrained/encoder.pt").read_bytes()[:5000])
    (root / "states-1.ckpt").write_text("no checkpoint")
    (samples / "odd.txt").write_text("HELLO HH AH0 L OW1\n")
    odd = f"config.downstream_expert.corpus.lexicon=['{samples / 'odd.txt'}']"
    commands = {
        "ks": ["-u", "mmpt_av", "-d", "ks", "-o", TWO_STEPS],
        "ks evaluate": ["-m", "evaluate", "-e", "result/downstream/ks_mmpt_av_untrained"],
    }
    for task in ("ic", "pr", "sd", "asr"):
        settings = TWO_STEPS + (TINY_ASR if task == "asr" else "")
        commands[task] = ["-u", "fbank", "-d", task, "-o", settings]
        commands[f"{task} evaluate"] = ["-m", "evaluate", "-e", f"result/downstream/{task}_fbank"]
    more = TWO_STEPS.replace("total_steps=2", "total_steps=3")
    commands["pr resumed"] = ["-u", "fbank", "-d", "pr", "-a", "-o", more]
    commands["ic repeated"] = list(commands["ic"])
    commands["asr states"] = ["-u", "mmpt_av", "-d", "asr", "-o", settings]
    for task in TASKS:
        settings = TWO_STEPS + (TINY_ASR if task == "asr" else "")
        longer = settings.replace("total_steps=2", "total_steps=3")
        ours = ["-u", "mmpt_av", "-d", task]
        commands[f"{task} fine-tuned"] = [*ours, "-n", f"{task}_f", "-f", "-s", "last_hidden_state", "-o", settings]
        commands[f"{task} one layer"] = [*ours, "-n", f"{task}_l", "-l", "2", "-o", settings]
        commands[f"{task} one layer, longer"] = [*ours, "-n", f"{task}_l", "-a", "-o", longer]
        commands[f"{task} kept"] = [
            *ours,
            "-n",
            f"{task}_kept",
            "--cache",
            "states",
            "--cache-dtype",
            "float32",
            "-o",
            settings,
        ]
        keep = ["--cache", "states", "--cache-dtype", "float32"]
        for where, cache in (("filled", keep), ("read", keep), ("computed", [])):
            copied = f"args.expdir=result/downstream/{task}_{where}"
            checkpoint = f"result/downstream/{task}_kept/states-2.ckpt"
            commands[f"{task} {where}"] = ["-m", "evaluate", "-e", checkpoint, *cache, "-o", copied]
    commands["no whole batch"] = [
        "-u",
        "fbank",
        "-d",
        "ks",
        "-n",
        "large",
        "-o",
        TWO_STEPS + ",,config.downstream_expert.datarc.batch_size=100",
    ]
    for command in commands.values():
        command += ["--data-root", "noise"] if "-d" in command else []
    commands["damaged encoder"] = ["-u", "mmpt_av", "-d", "ks", "-k", "damaged.pt", "--data-root", "noise"]
    commands["damaged checkpoint"] = ["-m", "evaluate", "-e", "states-1.ckpt"]
    commands["unknown upstream"] = ["-u", "fbnak", "-d", "ks", "--data-root", "noise"]
    commands["word outside the lexicon"] = ["-u", "fbank", "-d", "pr", "-n", "odd", "-o", odd, "--data-root", "noise"]
    for name in ("sd_computed", "sd_read"):
        (root / "result/downstream" / name / "scoring" / "predictions").mkdir(parents=True)
    (root / "result/downstream/sd_computed/scoring/predictions/old.h5").write_text("of another evaluation")
    (root / "result/downstream/sd_read/scoring/predictions").rmdir()
    result = python(["-c", RUN_THEM], root, stdin=json.dumps(commands))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout[result.stdout.index("{") :])


def test_keyword_spotting_with_our_encoder(place, runs):
    root, _ = place
    status, printed, said = runs["ks"]
    assert status == 0, said
    folder = root / "result/downstream/ks_mmpt_av_untrained"
    stored = read_checkpoint(folder / "states-2.ckpt")
    assert stored["Args"].upstream_ckpt == str(root / "runs/untrained/encoder.pt") and "Upstream" not in stored
    assert "evaluate it:" in said and "downsample rate is 640" in said
    assert runs["ks evaluate"][0] == 0, runs["ks evaluate"]
    assert f"test acc: {score(folder, 'ks')['acc']}" in runs["ks evaluate"][1]
    assert score(folder, "ks")["utterances"] == 12


@pytest.mark.parametrize("task", ["ic", "pr", "sd", "asr"])
def test_task_trains_and_evaluates(task, place, runs):
    for name in (task, f"{task} evaluate"):
        assert runs[name][0] == 0, runs[name]
    root, _ = place
    found = score(root / f"result/downstream/{task}_fbank", task)
    printed = runs[f"{task} evaluate"][1]
    if task == "sd":
        figures = printed.splitlines()[-1].split()
        assert found["acc"] == pytest.approx(float(figures[3]), abs=1e-6)
        assert found["der"] == pytest.approx(float(figures[5]), abs=1e-6)
    else:
        key, factor = {"ic": ("acc", 1), "pr": ("per", 1), "asr": ("wer", 100)}[task]
        value = next(line for line in printed.splitlines() if f" {key}: " in line).split(": ")[1]
        assert found[key] * factor == pytest.approx(float(value), abs=1e-4)


def test_asr_without_a_best_checkpoint_says_so(runs):
    assert "the LAST one: no best was written" in runs["asr evaluate"][2]
    assert "no best checkpoint was written" in runs["asr"][2] and "-t test-clean" in runs["asr"][2]


def test_phone_loaders_keep_their_workers(place, runs):
    """S3PRL alone drops num_workers from the configuration that it stores, and starts 12 from then on."""
    stored = read_checkpoint(place[0] / "result/downstream/pr_fbank/dev-best.ckpt")
    assert stored["Config"]["downstream_expert"]["corpus"]["num_workers"] == 0


def test_a_run_is_gone_on_with(place, runs):
    status, printed, said = runs["pr resumed"]
    assert status == 0 and "going on with result/downstream/pr_fbank" in said and "Resume from" in printed
    assert (place[0] / "result/downstream/pr_fbank/states-3.ckpt").is_file()


def test_a_second_run_gets_a_name_of_its_own(place, runs):
    assert runs["ic repeated"][0] == 0 and (place[0] / "result/downstream/ic_fbank-2/log.log").is_file()


@pytest.mark.parametrize("task", TASKS)
def test_the_encoder_is_fine_tuned(task, place, runs):
    """-f trains it, -s chooses its last state."""
    assert runs[f"{task} fine-tuned"][0] == 0, runs[f"{task} fine-tuned"]
    folder = place[0] / f"result/downstream/{task}_f"
    first, second = (read_checkpoint(folder / f"states-{step}.ckpt") for step in (1, 2))
    changed = [name for name, weight in first["Upstream"].items() if not torch.equal(weight, second["Upstream"][name])]
    assert len(changed) > 50 and "weights" not in second["Featurizer"]


@pytest.mark.parametrize("task", TASKS)
def test_one_layer_and_going_on(task, place, runs):
    for name in (f"{task} one layer", f"{task} one layer, longer"):
        assert runs[name][0] == 0, runs[name]
    stored = read_checkpoint(place[0] / f"result/downstream/{task}_l/states-3.ckpt")
    assert stored["Step"] == 3 and "weights" not in stored["Featurizer"] and "Upstream" not in stored
    assert "Resume from" in runs[f"{task} one layer, longer"][1]


PREDICTIONS = {
    "ks": "test_predict.txt",
    "ic": "test_predict.csv",
    "pr": "test-hyp.ark",
    "asr": "test-clean-noLM-hyp.ark",
}


@pytest.mark.parametrize("task", PREDICTIONS)
def test_one_head_predicts_the_same_from_kept_states(task, place, runs):
    for name in (f"{task} kept", f"{task} read", f"{task} computed"):
        assert runs[name][0] == 0, runs[name]
    read, computed = (
        place[0] / f"result/downstream/{task}_{where}" / PREDICTIONS[task] for where in ("read", "computed")
    )
    assert read.read_text() == computed.read_text() != ""
    assert (
        "cache: " in runs[f"{task} read"][2]
        and " 0 computed" in runs[f"{task} read"][2]
        and "cache: " not in runs[f"{task} computed"][2]
    )


def test_diarization_predictions_are_of_the_last_evaluation_alone(place, runs):
    """Also where `scoring/` is there already, and those of another folder are left alone."""
    root, _ = place
    for name in ("sd_computed", "sd_read"):
        assert {file.name for file in (root / f"result/downstream/{name}/scoring/predictions").iterdir()} == {
            "test0.h5",
            "test1.h5",
        }
    assert not list((root / "result/downstream/sd_kept/scoring/predictions").iterdir())


def test_diarization_from_kept_states(place, runs):
    assert runs["sd read"][0] == 0 and runs["sd computed"][0] == 0
    read, computed = (runs[f"sd {where}"][1].splitlines()[-1].split() for where in ("read", "computed"))
    assert [float(read[i]) for i in (3, 5)] == pytest.approx([float(computed[i]) for i in (3, 5)], abs=1e-6)


def test_random_crops_are_not_kept(place, runs):
    """KS has 12 recordings of 4 different sounds, and silences cut at random: with IC's, PR's, ASR's and SD's sounds, and the
    noise that the featurizer is probed with, so many states and no more are there.
    """
    root, samples = place
    sounds = set()
    for file in samples.rglob("*"):
        if file.suffix in (".wav", ".flac") and file.parent.name != "_background_noise_":
            wav, _ = soundfile.read(file, dtype="float32")
            sounds.add((wav.tobytes(), file.name.count("nohash")))  # KS lowers its sounds by 3 dB
    files = [file for file in (root / "states").rglob("*") if file.is_file() and file.name != "about.json"]
    assert len(files) == len(sounds) + 1
    assert "computed" in runs["ks kept"][2]


def test_what_was_dropped_is_told(place, runs):
    tally = json.loads((place[0] / "result/downstream/asr_kept/tally.json").read_text())
    assert (tally["dropped_batches"], tally["nan_steps"]) == (0, 0) and tally["ctc"]["train"][
        "utterances"
    ] == 2  # S3PRL halves its batches of two
    assert tally["ctc"]["dev-clean"]["utterances"] == 6
    assert (
        json.loads((place[0] / "result/downstream/asr_read/tally.json").read_text())["ctc"]["test-clean"]["utterances"]
        == 6
    )


def test_scores_are_written_beside_tensorboard(place, runs):
    folder = place[0] / "result/downstream/ic_l"
    assert set(dev_curve(folder, "ic")) == {2}
    assert {json.loads(line)["step"] for line in (folder / "scores.jsonl").read_text().splitlines()} == {1, 2, 3}


def test_our_states_reach_the_recogniser(runs):
    assert runs["asr states"][0] == 0 and "downsample rate is 640" in runs["asr states"][2]


@pytest.mark.parametrize(
    "name, message",
    [
        ("damaged encoder", "damaged.pt"),
        ("damaged checkpoint", "states-1.ckpt: not a whole checkpoint of S3PRL's runner"),
        ("unknown upstream", "-u fbnak: no such upstream; did you mean fbank"),
        ("word outside the lexicon", "is in no lexicon"),
        ("no whole batch", "the training set gives no whole batch"),
    ],
)
def test_bad_input_is_one_line_and_status_2(name, message, runs):
    status, _, said = runs[name]
    assert status == 2 and "Traceback" not in said
    line = next(line for line in said.replace("\r", "\n").splitlines() if line.startswith("run_downstream.py: error: "))
    assert message in line


@pytest.mark.parametrize("task", TASKS)
def test_two_processes_train_to_their_end(task, place):
    """The typed command under torchrun, on CPUs, the encoder trained too: stock fails there at once, and its ranks above 0
    never end anywhere.
    """
    root, _ = place
    small = {"ks": ",,config.downstream_expert.datarc.batch_size=4", "asr": TINY_ASR}.get(task, "")
    typed = [
        REPOSITORY / "run_downstream.py",
        "-u",
        "mmpt_av",
        "-d",
        task,
        "--data-root",
        "noise",
        "-n",
        f"{task}_two",
        "-f",
        "-o",
        TWO_STEPS + small,
    ]
    result = python(["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *typed], root)
    assert result.returncode == 0, result.stderr
    stored = read_checkpoint(root / f"result/downstream/{task}_two/states-2.ckpt")
    assert stored["WorldSize"] == 2 and result.stderr.count("evaluate it:") == 1

    if task == "ic":  # one is enough: the same number of processes takes the experiment further
        typed = [
            REPOSITORY / "run_downstream.py",
            "-e",
            f"result/downstream/{task}_two",
            "-o",
            "config.runner.total_steps=4",
        ]
        result = python(["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *typed], root)
        assert result.returncode == 0, result.stderr
        assert read_checkpoint(root / f"result/downstream/{task}_two/states-4.ckpt")["Step"] == 4


def test_the_script_in_the_root_answers_at_once(place):
    result = python([REPOSITORY / "run_downstream.py", "-d", "ks"], place[0])
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("run_downstream.py: error: -u is missing") and result.stderr.count("\n") == 1
