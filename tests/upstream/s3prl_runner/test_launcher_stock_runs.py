"""S3PRL's runner itself, started as a user starts it, over a few steps on corpora of noise."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile
import torch

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.repository import REPOSITORY
from mmpt.upstream.s3prl_runner.experiment import dev_curve, score
from mmpt.upstream.s3prl_runner.launcher import read_checkpoint

from helpers.forked_python import REAL_PYTHON
from helpers.stock_mocks import superb

pytestmark = pytest.mark.slow

RUN_DOWNSTREAM = REPOSITORY / "run_downstream.py"
TASKS = ["ks", "ic", "pr", "sd", "asr"]
TWO_STEPS = (
    "config.runner.total_steps=2,,config.runner.eval_step=2,,config.runner.save_step=1,,config.runner.log_step=1"
)
THREE_STEPS = TWO_STEPS.replace("total_steps=2", "total_steps=3")
TINY_ASR = ",,config.downstream_expert.datarc.batch_size=2,,config.downstream_expert.modelrc.RNNs.dim=[8]"
LARGE_BATCHES = ",,config.downstream_expert.datarc.batch_size=100"
ODD_LEXICON = "config.downstream_expert.corpus.lexicon=['noise/odd.txt']"
RESULTS = "result/downstream"


def python(arguments, folder, interpreter=sys.executable) -> subprocess.CompletedProcess:
    return subprocess.run(
        [interpreter, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )


@dataclass
class Command:
    """Arguments of run_downstream.py, and the names of the commands that must have run before."""

    line: str
    after: tuple[str, ...] = ()


def commands() -> dict[str, Command]:
    """Return the commands of all tests by name. {two} and {three} stand for settings of so many steps."""
    found = {
        "ks": Command("-u mmpt_av -d ks -o {two}"),
        "ks evaluate": Command(f"-m evaluate -e {RESULTS}/ks_mmpt_av_random", after=("ks",)),
        "pr resumed": Command("-u fbank -d pr -a -o {three}", after=("pr",)),
        "ic repeated": Command("-u fbank -d ic -o {two}", after=("ic",)),
        "asr states": Command("-u mmpt_av -d asr -o {two}"),
        "no whole batch": Command("-u fbank -d ks -n large -o {two}" + LARGE_BATCHES),
        "damaged encoder": Command("-u mmpt_av -d ks -k damaged.pt"),
        "damaged checkpoint": Command("-m evaluate -e states-1.ckpt"),
        "unknown upstream": Command("-u fbnak -d ks"),
        "mistyped mmpt_av": Command("-u mmptav -d ks"),
        "word outside the lexicon": Command(f"-u fbank -d pr -n odd -o {ODD_LEXICON}"),
    }
    for task in ("ic", "pr", "sd", "asr"):
        found[task] = Command(f"-u fbank -d {task} -o {{two}}")
        found[f"{task} evaluate"] = Command(f"-m evaluate -e {RESULTS}/{task}_fbank", after=(task,))
    for task in TASKS:
        ours, cache = f"-u mmpt_av -d {task}", "--cache states --cache-dtype float32"
        found[f"{task} fine-tuned"] = Command(f"{ours} -n {task}_f -f -s last_hidden_state -o {{two}}")
        found[f"{task} one layer"] = Command(f"{ours} -n {task}_l -l 2 -o {{two}}")
        found[f"{task} one layer, longer"] = Command(f"{ours} -n {task}_l -a -o {{three}}", (f"{task} one layer",))
        found[f"{task} cached"] = Command(f"{ours} -n {task}_cached {cache} -o {{two}}")
        evaluate = f"-m evaluate -e {RESULTS}/{task}_cached/states-2.ckpt -o args.expdir={RESULTS}/{task}"
        found[f"{task} filled"] = Command(f"{evaluate}_filled {cache}", after=(f"{task} cached",))
        found[f"{task} read"] = Command(f"{evaluate}_read {cache}", after=(f"{task} filled",))
        found[f"{task} computed"] = Command(f"{evaluate}_computed", after=(f"{task} cached",))
    return found


class Runs:
    """Outcomes (status, standard output, standard error) of the commands. Each runs when a test first asks for it."""

    def __init__(self, root: Path):
        self.root, self.commands = root, commands()
        self.outcomes: dict[str, tuple[int, str, str]] = {}

    def __getitem__(self, name: str) -> tuple[int, str, str]:
        if name not in self.outcomes:
            command = self.commands[name]
            for earlier in command.after:
                assert self[earlier][0] == 0, self[earlier]
            result = python([RUN_DOWNSTREAM, *self.arguments(command.line)], self.root)
            self.outcomes[name] = result.returncode, result.stdout, result.stderr
        return self.outcomes[name]

    def arguments(self, line: str) -> Iterator[str]:
        """Yield a command's arguments, with its settings, on corpora of noise."""
        small = TINY_ASR if "-d asr" in line else ""
        yield from line.format(two=TWO_STEPS + small, three=THREE_STEPS + small).split()
        if "-d " in line:
            yield from ("--data-root", "noise")

    def success(self, name: str) -> tuple[str, str]:
        """Return what a command printed, after a check that it succeeded."""
        status, printed, notes = self[name]
        assert status == 0, notes
        return printed, notes


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Make a working directory with an untrained encoder in runs/, corpora of noise and some damaged files."""
    root = tmp_path_factory.mktemp("stock")
    samples = superb(root / "noise")
    (root / "runs" / "random").mkdir(parents=True)
    torch.manual_seed(0)
    encoder = root / "runs" / "random" / "encoder.pt"
    save_encoder(Encoder(EncoderConfig.preset("tiny")), encoder, {"stages": []})
    (root / "damaged.pt").write_bytes(encoder.read_bytes()[:5000])
    (root / "states-1.ckpt").write_text("no checkpoint")
    (samples / "odd.txt").write_text("HELLO HH AH0 L OW1\n")
    computed = root / RESULTS / "sd_computed" / "scoring" / "predictions"
    computed.mkdir(parents=True)
    (computed / "old.h5").write_text("of another evaluation")
    (root / RESULTS / "sd_read" / "scoring").mkdir(parents=True)
    return root


@pytest.fixture(scope="module")
def runs(root) -> Runs:
    return Runs(root)


def test_keyword_spotting_with_our_encoder(root, runs):
    _, notes = runs.success("ks")
    folder = root / RESULTS / "ks_mmpt_av_random"
    stored = read_checkpoint(folder / "states-2.ckpt")
    assert stored["Args"].upstream_ckpt == str(root / "runs/random/encoder.pt") and "Upstream" not in stored
    assert "evaluate it:" in notes and "downsample rate is 640" in notes
    printed, _ = runs.success("ks evaluate")
    assert f"test acc: {score(folder, 'ks')['acc']}" in printed
    assert score(folder, "ks")["utterances"] == 12


@pytest.mark.parametrize("task", ["ic", "pr", "sd", "asr"])
def test_a_task_trains_and_evaluates(task, root, runs):
    printed, _ = runs.success(f"{task} evaluate")
    found = score(root / RESULTS / f"{task}_fbank", task)
    if task == "sd":
        figures = printed.splitlines()[-1].split()
        assert found["acc"] == pytest.approx(float(figures[3]), abs=1e-6)
        assert found["der"] == pytest.approx(float(figures[5]), abs=1e-6)
    else:
        key, factor = {"ic": ("acc", 1), "pr": ("per", 1), "asr": ("wer", 100)}[task]
        value = next(line for line in printed.splitlines() if f" {key}: " in line).split(": ")[1]
        assert found[key] * factor == pytest.approx(float(value), abs=1e-4)


def test_asr_reports_that_there_is_no_best_checkpoint(runs):
    assert "the LAST one: no best was written" in runs.success("asr evaluate")[1]
    notes = runs.success("asr")[1]
    assert "no best checkpoint was written" in notes and "-t test-clean" in notes


def test_phone_loaders_keep_their_workers(root, runs):
    """S3PRL alone drops num_workers from the configuration that it stores, and starts 12 from then on."""
    runs.success("pr")
    stored = read_checkpoint(root / RESULTS / "pr_fbank" / "dev-best.ckpt")
    assert stored["Config"]["downstream_expert"]["corpus"]["num_workers"] == 0


def test_a_run_is_resumed(root, runs):
    printed, notes = runs.success("pr resumed")
    assert f"resuming {RESULTS}/pr_fbank" in notes and "Resume from" in printed
    assert (root / RESULTS / "pr_fbank" / "states-3.ckpt").is_file()


def test_a_second_run_gets_a_name_of_its_own(root, runs):
    runs.success("ic repeated")
    assert (root / RESULTS / "ic_fbank-2" / "log.log").is_file()


@pytest.mark.parametrize("task", TASKS)
def test_the_encoder_is_fine_tuned(task, root, runs):
    """-f trains it, -s chooses its last state."""
    runs.success(f"{task} fine-tuned")
    folder = root / RESULTS / f"{task}_f"
    first, second = (read_checkpoint(folder / f"states-{step}.ckpt") for step in (1, 2))
    changed = [name for name, weight in first["Upstream"].items() if not torch.equal(weight, second["Upstream"][name])]
    assert len(changed) > 50 and "weights" not in second["Featurizer"]


@pytest.mark.parametrize("task", TASKS)
def test_one_layer_is_trained_on_and_resumed(task, root, runs):
    printed, _ = runs.success(f"{task} one layer, longer")
    stored = read_checkpoint(root / RESULTS / f"{task}_l" / "states-3.ckpt")
    assert stored["Step"] == 3 and "weights" not in stored["Featurizer"] and "Upstream" not in stored
    assert "Resume from" in printed


PREDICTIONS = {
    "ks": "test_predict.txt",
    "ic": "test_predict.csv",
    "pr": "test-hyp.ark",
    "asr": "test-clean-noLM-hyp.ark",
}


@pytest.mark.parametrize("task", PREDICTIONS)
def test_one_head_predicts_the_same_from_cached_states(task, root, runs):
    notes = {where: runs.success(f"{task} {where}")[1] for where in ("read", "computed")}
    read, computed = (root / RESULTS / f"{task}_{where}" / PREDICTIONS[task] for where in ("read", "computed"))
    assert read.read_text() == computed.read_text() != ""
    assert "cache: " in notes["read"] and " 0 computed" in notes["read"]
    assert "cache: " not in notes["computed"]


def test_diarization_predictions_are_of_the_last_evaluation_alone(root, runs):
    """Also if `scoring/` exists already. Predictions in another folder stay untouched."""
    for name in ("computed", "read"):
        runs.success(f"sd {name}")
        files = {file.name for file in (root / RESULTS / f"sd_{name}" / "scoring" / "predictions").iterdir()}
        assert files == {"test0.h5", "test1.h5"}
    assert not list((root / RESULTS / "sd_cached" / "scoring" / "predictions").iterdir())


def test_diarization_scores_the_same_from_cached_states(runs):
    read, computed = (runs.success(f"sd {where}")[0].splitlines()[-1].split() for where in ("read", "computed"))
    assert [float(read[i]) for i in (3, 5)] == pytest.approx([float(computed[i]) for i in (3, 5)], abs=1e-6)


def test_random_crops_are_not_cached(root, runs):
    """The cache holds the sounds of all tasks and the noise that probes the featurizer, and no more.

    KS has 12 recordings of 4 different sounds, and silences cut at random.
    """
    for task in TASKS:
        runs.success(f"{task} filled")
    sounds = set()
    for file in (root / "noise").rglob("*"):
        if file.suffix in (".wav", ".flac") and file.parent.name != "_background_noise_":
            wav, _ = soundfile.read(file, dtype="float32")
            sounds.add((wav.tobytes(), file.name.count("nohash")))  # KS lowers its sounds by 3 dB
    files = [file for file in (root / "states").rglob("*") if file.is_file() and file.name != "about.json"]
    assert len(files) == len(sounds) + 1
    assert "computed" in runs.success("ks cached")[1]


def test_dropped_data_are_counted(root, runs):
    runs.success("asr read")
    trained, evaluated = (
        json.loads((root / RESULTS / name / "tally.json").read_text()) for name in ("asr_cached", "asr_read")
    )
    assert (trained["dropped_batches"], trained["nan_steps"]) == (0, 0)
    assert trained["ctc"]["train"]["utterances"] == 2  # S3PRL halves its batches of two
    assert trained["ctc"]["dev-clean"]["utterances"] == evaluated["ctc"]["test-clean"]["utterances"] == 6


def test_scores_are_written_beside_tensorboard(root, runs):
    runs.success("ic one layer, longer")
    folder = root / RESULTS / "ic_l"
    assert set(dev_curve(folder, "ic")) == {2}
    assert {json.loads(line)["step"] for line in (folder / "scores.jsonl").read_text().splitlines()} == {1, 2, 3}


def test_our_states_reach_the_recogniser(runs):
    assert "downsample rate is 640" in runs.success("asr states")[1]


@pytest.mark.parametrize(
    "name, message",
    [
        ("damaged encoder", "damaged.pt"),
        ("damaged checkpoint", "states-1.ckpt: not a whole checkpoint of S3PRL's runner"),
        ("unknown upstream", "-u fbnak: no such upstream; did you mean fbank"),
        ("mistyped mmpt_av", "-u mmptav: no such upstream; did you mean mmpt_av?"),
        ("word outside the lexicon", "is in no lexicon"),
        ("no whole batch", "the training set gives no whole batch"),
    ],
)
def test_bad_input_is_one_line_and_status_2(name, message, runs):
    status, _, notes = runs[name]
    assert status == 2 and "Traceback" not in notes
    lines = notes.replace("\r", "\n").splitlines()
    assert message in next(line for line in lines if line.startswith("run_downstream.py: error: "))


TWO_RUNS = """
import builtins, json, sys
from mmpt.upstream.s3prl_runner.launcher import main
plain, typed = builtins.isinstance, sys.argv
for argv in json.loads(typed[1]):
    assert main(argv) == 0
assert builtins.isinstance is plain and sys.argv is typed
"""


def test_two_runs_in_one_process_leave_python_as_it_was(root):
    """S3PRL replaces isinstance by a function that calls the former one twice, once more in each run."""
    both = [f"-u fbank -d ic -n {name} --data-root noise -o {TWO_STEPS}".split() for name in ("first", "second")]
    result = python(["-c", TWO_RUNS, json.dumps(both)], root)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("task", TASKS)
def test_two_processes_train_to_their_end(task, root):
    """On CPUs, with the encoder trained too, S3PRL alone fails at once, and its ranks above 0 never end anywhere."""
    small = {"ks": ",,config.downstream_expert.datarc.batch_size=4", "asr": TINY_ASR}.get(task, "")
    line = f"-u mmpt_av -d {task} --data-root noise -n {task}_two -f -o {TWO_STEPS}{small}"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", RUN_DOWNSTREAM]
    result = python([*torchrun, *line.split()], root, REAL_PYTHON if task == "ks" else sys.executable)
    assert result.returncode == 0, result.stderr
    folder = root / RESULTS / f"{task}_two"
    stored = read_checkpoint(folder / "states-2.ckpt")
    assert stored["WorldSize"] == 2 and result.stderr.count("evaluate it:") == 1

    if task == "ic":  # one is enough: the same number of processes continues the experiment
        result = python([*torchrun, "-e", folder, "-o", "config.runner.total_steps=4"], root)
        assert result.returncode == 0, result.stderr
        assert read_checkpoint(folder / "states-4.ckpt")["Step"] == 4


def test_the_script_in_the_root_answers_at_once(root):
    result = python([RUN_DOWNSTREAM, "-d", "ks"], root, REAL_PYTHON)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("run_downstream.py: error: -u is missing") and result.stderr.count("\n") == 1
