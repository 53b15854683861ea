"""The tasks beyond the five in S3PRL's runner, started as a user starts them, over two steps on corpora of noise."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmpt.scripts.prepare.iemocap_sessions import write_sessions
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.repository import REPOSITORY
from mmpt.upstream.s3prl_runner import other_tasks

from helpers.other_corpora import other_corpora, voxceleb1

pytestmark = pytest.mark.slow

RESULTS = "result/downstream"
TWO_STEPS = {"total_steps": 2, "eval_step": 2, "save_step": 1, "log_step": 1, "gradient_accumulate_steps": 1}
SMALL = {
    "sid": {"datarc.num_workers": 0},
    "er": {"datarc.num_workers": 0},
    "sf": {
        "corpus.num_workers": 0,
        "corpus.batch_size": 2,
        "model.project_dim": 8,
        "model.RNNs.dim": "[8,8]",
    },
    "asv": {"datarc.num_workers": 0, "modelrc.input_dim": 8, "modelrc.module_config.XVector.agg_dim": 8},
    "qbe": {"datarc.num_workers": 0, "max_workers": 1},
    "se": {"loaderrc.num_workers": 0, "modelrc.hidden_size": 8},
    "ss": {"loaderrc.num_workers": 0, "modelrc.hidden_size": 8},
}
# What S3PRL prints of the test split, and the predictions that it writes.
PRINTED = {
    "sid": ("test acc: ", "test_predict.txt"),
    "er": ("test acc: ", "test_fold1_predict.txt"),
    "sf": ("test slot_type_f1: ", "test-hyp.ark"),
    "asv": ("sv-voxceleb1/test-EER: ", "test_predict.txt"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Make a working directory with an untrained encoder in runs/ and the corpora in noise/."""
    root = tmp_path_factory.mktemp("others")
    other_corpora(root / "noise")
    write_sessions(root / "noise/IEMOCAP", root / "noise/IEMOCAP/meta_data")
    (root / "runs" / "random").mkdir(parents=True)
    torch.manual_seed(0)
    save_encoder(Encoder(EncoderConfig.preset("tiny")), root / "runs/random/encoder.pt", {"stages": []})
    (root / "hop320.yaml").write_text("frame_hop: 320\n")
    return root


def run(root, line, task=None, data="noise") -> subprocess.CompletedProcess:
    """Start run_downstream.py; with a task, on its corpus and with small settings."""
    settings = {f"runner.{key}": value for key, value in TWO_STEPS.items()} if "evaluate" not in line else {}
    settings |= {f"downstream_expert.{key}": value for key, value in SMALL.get(task, {}).items()}
    words = ["-o", ",,".join(f"config.{key}={value}" for key, value in settings.items())] if settings else []
    words += ["--data-root", data] if task else []
    return subprocess.run(
        [sys.executable, REPOSITORY / "run_downstream.py", *line.split(), *words],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1", "TORCH_HOME": str(root / "hub")},
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.mark.parametrize("task", PRINTED)
def test_a_task_trains_and_evaluates(task, root):
    trained = run(root, f"-u mmpt_av -d {task}", task)
    assert trained.returncode == 0, trained.stderr
    folder = root / RESULTS / f"{task}_mmpt_av_random"
    assert (folder / "states-2.ckpt").is_file() and "downsample rate is 640" in trained.stderr
    assert ("no best checkpoint was written" in trained.stderr) == (
        task != "asv" and not (folder / "dev-best.ckpt").is_file()
    )
    predictions = folder / PRINTED[task][1]
    predictions.unlink(missing_ok=True)
    evaluated = run(root, f"-m evaluate -e {folder}")
    assert evaluated.returncode == 0, evaluated.stderr
    score = next(line for line in evaluated.stdout.splitlines() if line.startswith(PRINTED[task][0]))
    assert 0 <= float(score.split(": ")[1]) <= 1 and predictions.read_text().count("\n") >= 2


def test_no_list_of_files_outlives_its_corpus(root):
    """S3PRL alone keeps SID's files and ASV's lengths in its package, where any later corpus gets them."""
    package = Path(importlib.util.find_spec("s3prl").submodule_search_locations[0], "downstream")
    voxceleb1(root / "second")
    for task in ("sid", "asv"):
        for data in ("noise", "second"):
            assert run(root, f"-u mmpt_av -d {task} -n {task}_{data}", task, data).returncode == 0
    assert not (package / "voxceleb1" / ".cache").exists()
    assert not (package / "sv_voxceleb1" / ".wav_lengths").exists()
    assert len({*(root / "hub").rglob("Voxceleb1_length.pt")}) == 2


def test_queries_are_matched_without_training(root):
    pytest.importorskip("dtw")
    result = run(root, "-m evaluate -u mmpt_av -d qbe -l -1 -t dev", "qbe")
    assert result.returncode == 0, result.stderr
    found = (root / RESULTS / "qbe_mmpt_av_random" / "benchmark.stdlist.xml").read_text()
    assert 'termid="dev_0"' in found and found.count("<term ") == 3


@pytest.mark.parametrize(
    "name, window, reason",
    [
        ("separation_stft", 512, "windows of 512 samples would leave gaps between them"),
        ("separation_stft2", 1024, "even an ideal mask then separates 1.4 dB worse"),
        ("enhancement_stft", 512, "windows of 512 samples would leave gaps between them"),
        ("enhancement_stft2", 400, "repeats each state at most once"),
    ],
)
def test_states_40_ms_apart_are_refused_with_the_reason(name, window, reason, monkeypatch):
    def runner(rate):
        return SimpleNamespace(
            featurizer=SimpleNamespace(model=SimpleNamespace(downsample_rate=rate)),
            args=SimpleNamespace(downstream=name),
            config={"downstream_expert": {"datarc": {"win_length": window}}},
        )

    monkeypatch.setattr(other_tasks, "require", lambda *names, extra: None)
    prepare = other_tasks.PREPARATIONS[name]
    with pytest.raises(InputError, match=f"-d {name}: .*640 samples apart.*{reason}.*'frame_hop: 320'"):
        prepare(runner(640))
    prepare(runner(320))


def test_the_refusal_is_one_line(root):
    result = run(root, "-u mmpt_av -d ss", "ss")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert (
        "run_downstream.py: error: -d separation_stft2: this upstream's states are 640 samples apart" in result.stderr
    )


@pytest.mark.skipif(importlib.util.find_spec("asteroid") is not None, reason="asteroid is there")
def test_a_missing_package_is_named(root):
    result = run(root, "-u mmpt_av -d se -g hop320.yaml -n without", "se")
    assert result.returncode == 2
    assert "asteroid" in result.stderr.splitlines()[-1] and "pip install 'mmpt-av[superb-all]'" in result.stderr


@pytest.mark.skipif(importlib.util.find_spec("asteroid") is None, reason="needs the extra superb-all")
@pytest.mark.parametrize("task", ["se", "ss"])
def test_states_20_ms_apart_train(task, root):
    result = run(root, f"-u mmpt_av -d {task} -g hop320.yaml -n {task}_320", task)
    assert result.returncode == 0, result.stderr
    assert (root / RESULTS / f"{task}_320" / "states-2.ckpt").is_file()


@pytest.mark.parametrize("name", ["librosa", "sox"])
def test_unused_imports_leave_no_module_behind(name):
    there = name in sys.modules
    with other_tasks.unused_imports():
        assert importlib.import_module(name)
    if importlib.util.find_spec(name) is None:
        assert (name in sys.modules) == there


def test_sound_files_are_found_as_librosa_finds_them(tmp_path):
    for name in ("b/2.wav", "b/1.FLAC", "a/3.wav", "a/text.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert other_tasks.find_files(tmp_path) == [str(tmp_path / name) for name in ("a/3.wav", "b/1.FLAC", "b/2.wav")]
