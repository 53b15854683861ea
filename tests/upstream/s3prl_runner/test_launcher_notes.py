"""What the launcher reports around S3PRL's run, and the checks before it; S3PRL does not run."""

import argparse
import errno
import sys
from types import SimpleNamespace

import pytest
import torch

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import launcher, repairs
from mmpt.upstream.s3prl_runner.plan import Plan
from mmpt.upstream.s3prl_runner.tasks import superb_task


def observer(cache=None, **counts):
    counts = {"dropped_batches": 0, "nan_steps": 0, "ctc": {}, **counts}
    return SimpleNamespace(counts=counts, upstream=SimpleNamespace(cache=cache))


def noted(capsys) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_clean_run_has_no_notes(capsys):
    cache = SimpleNamespace(read=0, computed=0, root="states", held=0)
    launcher._note_observations(observer())
    launcher._note_observations(observer(cache, ctc={"train": {"utterances": 9, "unalignable": 0}}))
    assert noted(capsys) == []


def test_what_was_dropped_is_noted(capsys):
    cache = SimpleNamespace(read=1200, computed=34, root="states", held=2.6e6)
    ctc = {"train": {"utterances": 8, "unalignable": 1}, "dev": {"utterances": 3, "unalignable": 0}}
    launcher._note_observations(observer(cache, dropped_batches=2, nan_steps=3, ctc=ctc))
    batches, steps, labels, states = noted(capsys)
    assert batches == "[mmpt] dropped batches: 2 (they did not fit the GPU's memory)"
    assert steps == "[mmpt] nan steps: 3 (their gradient was NaN)"
    assert labels.startswith("[mmpt] CTC, train: 12.5 % of utterances have more labels")
    assert states == "[mmpt] cache: 1,200 utterances read, 34 computed; states holds 3 MB"


def test_notes_need_no_progress_bar(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "tqdm", raising=False)
    launcher._note("one line")
    assert noted(capsys) == ["[mmpt] one line"]


@pytest.mark.parametrize(
    "task, files, program, expected",
    [
        ("asr", ["dev-clean-best.ckpt"], "a b/run_downstream.py", ["python 'a b/run_downstream.py' -m evaluate -e "]),
        ("ks", ["states-5.ckpt"], "/bin/mmpt", ["no best checkpoint was written", "mmpt -m evaluate -e "]),
        ("ks", [], "/bin/mmpt", []),
        (None, ["states-5.ckpt"], "/bin/mmpt", []),
    ],
)
def test_the_command_of_an_evaluation_is_noted(tmp_path, monkeypatch, capsys, task, files, program, expected):
    for file in files:
        (tmp_path / file).touch()
    monkeypatch.setattr(sys, "argv", [program])
    launcher._note_how_to_evaluate(Plan({}, task and superb_task(task), str(tmp_path)))
    lines = noted(capsys)
    assert len(lines) == len(expected) and all(words in line for words, line in zip(expected, lines))
    if task == "asr":
        assert lines[0].endswith("dev-clean-best.ckpt -t test-clean")


def test_a_hub_that_cannot_work_is_refused_before_the_run(monkeypatch):
    monkeypatch.setattr(repairs, "apply", lambda: None)
    monkeypatch.setattr(repairs, "hub_is_placeholder", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    for values in ({"hub": "huggingface"}, {"push_to_hf_hub": "yes"}):
        with pytest.raises(InputError, match="need an older library: pip install 'huggingface_hub<1.0'"):
            launcher.run_stock({"device": "cuda", **values})
    assert launcher.os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    with pytest.raises(InputError):
        launcher.run_stock({"device": "cpu", "hub": "huggingface"})
    assert launcher.os.environ["CUDA_VISIBLE_DEVICES"] == ""  # else S3PRL's evaluation selects a GPU


def test_an_upstream_of_the_hub_is_not_looked_up(monkeypatch):
    looked_up = []
    monkeypatch.setattr(launcher, "check_upstream_name", looked_up.append)
    for values in ({}, {"upstream": "a", "past_exp": "x"}, {"upstream": "b", "hub": "huggingface"}, {"upstream": "c"}):
        launcher._check_upstream(values)
    assert looked_up == ["c"]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"no zip", "not a whole checkpoint of S3PRL's runner"),
        ({"Args": argparse.Namespace(mode="train")}, r"not a whole checkpoint of S3PRL's runner \(KeyError\)"),
        ({"Args": argparse.Namespace(mode="train"), "Config": {"runner": {}}}, "not a checkpoint of S3PRL's runner"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content, message):
    file = tmp_path / "states-1.ckpt"
    file.write_bytes(content) if isinstance(content, bytes) else torch.save(content, file)
    with pytest.raises(InputError, match=f"states-1.ckpt: {message}"):
        launcher.read_checkpoint(file)


def test_missing_libraries_are_named(monkeypatch, capsys, tmp_path):
    def fill(*_):
        raise ModuleNotFoundError("No module named 's3prl'", name="s3prl")

    monkeypatch.setattr("mmpt.upstream.s3prl_runner.defaults.fill", fill)
    assert launcher.main(["-u", "fbank", "-d", "ks"], lambda: tmp_path) == 2
    (line,) = noted(capsys)
    assert "error: " in line and "s3prl" in line


def test_a_task_without_a_superb_name_is_none():
    with pytest.raises(KeyError, match="emotion"):
        superb_task("emotion")


def test_works_of_torchaudio_and_torchcodec_are_tried(monkeypatch):
    def import_module(name):
        raise RuntimeError(f"{name}: libraries are missing")

    monkeypatch.setattr(repairs.importlib, "import_module", import_module)
    monkeypatch.setattr(repairs.importlib.util, "find_spec", lambda name: object())
    assert not repairs._sox_works() and not repairs._torchcodec_works()
    monkeypatch.setattr(repairs.importlib, "import_module", lambda name: SimpleNamespace(effect_names=lambda: ["gain"]))
    assert repairs._sox_works() and repairs._torchcodec_works()
    monkeypatch.setattr(repairs.importlib.util, "find_spec", lambda name: None)
    assert not repairs._torchcodec_works()


def test_placeholders_can_be_copied_and_refuse_to_work():
    refuses = repairs._placeholder("HfFolder", "1.2")
    for use in (refuses, lambda: refuses.get_token):
        with pytest.raises(RuntimeError, match=r"huggingface_hub.HfFolder for this, which huggingface_hub 1.2 no"):
            use()
    with pytest.raises(AttributeError):
        refuses.__wrapped__  # noqa: B018 - inspect asks for it


def test_an_error_of_the_system_is_one_line(monkeypatch, capsys):
    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "runs/x")

    monkeypatch.setattr(launcher, "_make_plan", no_room)
    assert launcher.main(["-u", "fbank", "-d", "ks"]) == 2
    (line,) = noted(capsys)
    assert line.endswith("error: runs/x: No space left on device")


def test_ctrl_c_is_one_line_and_status_130(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(launcher, "_make_plan", interrupted)
    assert launcher.main(["-u", "fbank", "-d", "ks"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """Return the command lines for which S3PRL was to run, each with its plan; `plan` gives the next one."""
    ran, monkeypatched = [], {}
    monkeypatch.setattr(launcher, "_make_plan", lambda *_: monkeypatched["plan"])
    monkeypatch.setattr(launcher, "run_stock", lambda values, *_: ran.append(values))
    monkeypatch.setattr(launcher, "_note_how_to_evaluate", lambda plan: None)

    def run(values: dict, task: str) -> int:
        monkeypatched["plan"] = Plan(values, superb_task(task), str(tmp_path))
        return launcher.main(["-u", "fbank", "-d", task])

    return ran, run


def test_two_experiments_are_never_mixed(runs, tmp_path, capsys):
    ran, run = runs
    (tmp_path / "dev-best.ckpt").touch()
    assert run({"mode": "train"}, "ks") == 2 and not ran
    (line,) = noted(capsys)
    assert line.endswith("holds an experiment already; -a resumes it, another -n starts a new one")
    assert run({"mode": "train", "past_exp": "dev-best.ckpt"}, "ks") == 0 and len(ran) == 1
    (tmp_path / "dev-best.ckpt").unlink()
    assert run({"mode": "train"}, "ks") == 0 and len(ran) == 2


def test_predictions_of_test_survive_an_evaluation_of_dev(runs, tmp_path):
    """S3PRL writes SD's predictions of test alone, so only a test makes old ones obsolete."""
    predictions = tmp_path / "scoring" / "predictions"
    predictions.mkdir(parents=True)
    (predictions / "a.h5").touch()
    for values in ({"mode": "evaluate", "evaluate_split": "dev"}, {"mode": "train"}):
        assert runs[1](values, "sd") == 0 and (predictions / "a.h5").is_file()
    assert runs[1]({"mode": "evaluate", "evaluate_split": "test"}, "sd") == 0 and not any(predictions.iterdir())


@pytest.mark.parametrize(
    "device, message", [("foo", "--device foo: give cpu, cuda or cuda:NUMBER"), ("cuda:1", "--device cuda:1: PyTorch")]
)
def test_a_device_that_is_not_there_is_refused(monkeypatch, device, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=message):
        launcher._check_device(device)
