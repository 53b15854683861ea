"""midtrain/run.py: whole and interrupted runs, the files that they write, and errors."""

import json
import os
import signal

import pytest
import torch
import yaml

from mmpt.midtrain import run
from mmpt.midtrain.task import TranslationTask
from mmpt.training.checkpoints import read_checkpoint
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, load_encoder, save_encoder
from mmpt.upstream.mmpt_av.checkpoint import file_hash

from helpers import mock_must_c

TINY = EncoderConfig(conv_channels=16, d_model=16, n_layers=2, n_heads=2, ffn_dim=32, depthwise_kernel=3)
CONFIG = {
    "device": "cpu",
    "log_every": 1,
    "validate_every": 2,
    "checkpoint_every": 1,
    "keep_checkpoints": 2,
    "optim": {"steps": 4, "warmup_steps": 2, "schedule": "inverse_sqrt", "weight_decay": 0.0},
    "data": {"workers": 0, "batch_frames": 500, "vocabulary_size": 40},
    "decoder": {"n_layers": 1, "n_heads": 2, "ffn_dim": 16},
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a corpus, a config and a stage-1 run."""
    monkeypatch.chdir(tmp_path)
    mock_must_c.corpus(tmp_path / "must_c")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    torch.manual_seed(0)
    stages = [{"stage": "pretrain", "objective": "clr", "data": "mock", "steps": 3}]
    save_encoder(Encoder(TINY), tmp_path / "stage1" / "encoder.pt", {"stages": stages})
    return tmp_path


def midtrain(*arguments, out="run"):
    options = ["--target-lang", "it", "--data", "must_c", "--config", "config.yaml", "--init", "stage1", "--out", out]
    return run.main([*options, *arguments])


def averaged_steps(out) -> list[int]:
    return load_encoder(f"{out}/encoder.pt").provenance["stages"][-1]["averaged_steps"]


@pytest.mark.slow
def test_a_run_exports_the_mean_of_its_last_checkpoints(place, capsys):
    parent = file_hash(place / "stage1" / "encoder.pt")
    assert midtrain() == 0
    encoder = load_encoder("run/encoder.pt")
    assert encoder.config == TINY and encoder([torch.randn(1000)]).lengths.tolist() == [2]
    before, last = encoder.provenance["stages"]
    assert before["stage"] == "pretrain" and before["data"] == "mock"
    assert last["stage"] == "midtrain" and last["language"] == "en-it" and last["data"] == "must_c en-it"
    assert last["steps"] == 4 and last["segments"] == 12 and last["averaged_steps"] == [3, 4]
    assert last["parent_sha256"] == parent
    states = [read_checkpoint(place / f"run/checkpoints/step_0000000{n}.pt")["model"] for n in (3, 4)]
    name = "blocks.0.ffn1.1.weight"
    assert torch.allclose(encoder.state_dict()[name], sum(s["encoder." + name] for s in states) / 2)
    for file in ("config.yaml", "vocabulary.model", "init.pt", "log.jsonl", "translations_dev.txt"):
        assert (place / "run" / file).is_file(), file
    output = capsys.readouterr().out
    assert "must_c en-it, train: 12 segments" in output and "midtrain/translate.py run --split tst-COMMON" in output


FROZEN = ("ctc.weight=0.5", "ctc.vocabulary_size=20", "--freeze-encoder-steps", "2")


@pytest.mark.slow
# Inside an epoch and at its end; before and after the encoder is unfrozen.
@pytest.mark.parametrize("after, options", [(1, ()), (2, ()), (2, FROZEN), (3, FROZEN)])
def test_an_interrupted_run_ends_with_the_bits_of_an_unbroken_one(place, monkeypatch, after, options):
    assert midtrain(*options, out="whole") == 0
    with monkeypatch.context() as patch:
        real, calls = TranslationTask.loss, []

        def interrupted(task, *arguments):
            calls.append(arguments)
            if task.model.training and len(calls) == after:
                os.kill(os.getpid(), signal.SIGTERM)
            return real(task, *arguments)

        patch.setattr(TranslationTask, "loss", interrupted)
        with pytest.raises(SystemExit) as stop:
            midtrain(*options, out="broken")
        assert stop.value.code == 128 + signal.SIGTERM
    (place / "stage1" / "encoder.pt").unlink()  # the run has a copy
    assert run.main(["--out", "broken", "--resume"]) == 0
    whole, broken = (read_checkpoint(place / out / "checkpoints" / "step_00000004.pt") for out in ("whole", "broken"))
    for name, tensor in whole["model"].items():
        assert torch.equal(tensor, broken["model"][name]), name
    states = [load_encoder(place / out / "encoder.pt").state_dict() for out in ("whole", "broken")]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert load_encoder("whole/encoder.pt").provenance == load_encoder("broken/encoder.pt").provenance


@pytest.mark.slow
def test_a_run_without_init_is_seeded(place):
    for out in ("one", "two"):
        assert midtrain("--init", "none", "preset=tiny", "optim.steps=1", out=out) == 0
    one, two = (load_encoder(f"{out}/encoder.pt") for out in ("one", "two"))
    assert all(torch.equal(tensor, two.state_dict()[name]) for name, tensor in one.state_dict().items())
    assert one.provenance["stages"][0]["parent_sha256"] is None and not os.path.exists("one/init.pt")


def other_sizes():
    content = torch.load("stage1/encoder.pt", weights_only=True)
    content["config"]["ffn_dim"] = 64
    torch.save(content, "other.pt")
    return "--init", "other.pt"


def misaligned():
    file = "must_c/en-it/data/dev/txt/dev.it"
    with open(file, "a", encoding="utf-8") as text:
        text.write("in più\n")
    return ()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--target-lang", "de"), "no target language 'de' here (there is it)"),
        (("--data", "nowhere"), "nowhere: no such folder"),
        (("--init", "nowhere"), "nowhere: no such run or encoder"),
        (("--init", "must_c"), "holds no encoder.pt"),
        (("--init", "config.yaml"), "config.yaml: is truncated, damaged or not"),
        (other_sizes, "other.pt: blocks.0.ffn1.1.weight has shape (32, 16), the config asks for (64, 16)"),
        (misaligned, "dev.it: 5 lines, but dev.yaml lists 4 segments"),
        (("data.batch_frame=3",), "did you mean data.batch_frames?"),
        (("decoder.n_heads=3",), "does not divide the encoder's width 16"),
        (("data.vocabulary_size=4",), "no vocabulary of data.vocabulary_size=4"),
        (("--resume",), "no run to resume"),
        (("--out", "stage1"), "not a run folder"),
    ],
)
def test_bad_input_is_one_line(place, capsys, arguments, message):
    assert midtrain(*(arguments() if callable(arguments) else arguments)) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.startswith("error: ")


def test_a_run_needs_a_language(place, capsys):
    assert run.main([]) == 2
    assert "--target-lang: into which language" in capsys.readouterr().err


@pytest.mark.slow
def test_resuming_with_another_language_is_refused(place, capsys):
    assert midtrain("optim.steps=1") == 0
    mock_must_c.corpus(place / "must_c", "de")
    assert run.main(["--out", "run", "--resume", "--target-lang", "de"]) == 2
    assert "other settings (target_lang)" in capsys.readouterr().err


@pytest.mark.slow
def test_patience_ends_a_run_and_more_patience_resumes_it(place, monkeypatch, capsys):
    """Dev losses by step: 2 is the best one."""
    losses = {1: 5.0, 2: 3.0, 3: 4.0, 4: 3.5, 5: 6.0, 6: 2.0, 7: 2.5, 8: 2.5}
    monkeypatch.setattr(TranslationTask, "validate", lambda task, step: {"loss": losses[step]})
    options = ("optim.steps=8", "validate_every=1", "checkpoint_every=3")
    assert midtrain(*options, "patience=2") == 0
    assert "step 4: 2 validations without a better dev loss than 3: training ends" in capsys.readouterr().out
    state = read_checkpoint(place / "run/checkpoints/latest.pt")
    assert state["step"] == 4 and read_checkpoint(place / "run/checkpoints/best.pt")["step"] == 2
    assert averaged_steps("run") == [2]
    assert run.main(["--out", "run", "--resume"]) == 0  # it has ended, and does nothing
    assert read_checkpoint(place / "run/checkpoints/latest.pt")["step"] == 4
    assert run.main(["--out", "run", "--resume", "patience=3"]) == 0
    assert read_checkpoint(place / "run/checkpoints/latest.pt")["step"] == 5  # the third in a row
    assert run.main(["--out", "run", "--resume", "patience=4"]) == 0
    assert read_checkpoint(place / "run/checkpoints/latest.pt")["step"] == 8
    assert read_checkpoint(place / "run/checkpoints/best.pt")["step"] == 6
    assert averaged_steps("run") == [5, 6]


@pytest.mark.slow
@pytest.mark.parametrize("steps, patience", [(8, 2), (5, 3)])  # ended by patience, and by its steps
def test_the_mean_of_a_run_with_patience_holds_the_best_checkpoint(place, monkeypatch, steps, patience):
    """Also if it was stopped after the best checkpoint, and resumed."""
    losses, stops = [5.0, 4.0, 3.0, 4.0, 4.0], []

    def validate(task, step):
        if stops and step == stops[0]:
            os.kill(os.getpid(), signal.SIGTERM)
            stops.clear()
        return {"loss": losses[step - 1]}

    monkeypatch.setattr(TranslationTask, "validate", validate)
    options = (f"optim.steps={steps}", "validate_every=1", f"patience={patience}")
    assert midtrain(*options, out="whole") == 0
    stops.append(4)
    with pytest.raises(SystemExit):
        midtrain(*options, out="broken")
    assert run.main(["--out", "broken", "--resume"]) == 0
    for out in ("whole", "broken"):
        assert read_checkpoint(place / out / "checkpoints/latest.pt")["step"] == 5
        assert averaged_steps(out) == [2, 3]
    states = [read_checkpoint(place / f"whole/checkpoints/step_0000000{n}.pt")["model"] for n in (2, 3)]
    encoders = [load_encoder(f"{out}/encoder.pt").state_dict() for out in ("whole", "broken")]
    name = "blocks.0.ffn1.1.weight"
    assert torch.allclose(encoders[0][name], sum(s["encoder." + name] for s in states) / 2)
    assert all(torch.equal(value, encoders[1][name]) for name, value in encoders[0].items())


@pytest.mark.slow
def test_ctc_is_in_the_checkpoint_and_not_in_the_encoder(place):
    assert midtrain("ctc.weight=0.5", "ctc.vocabulary_size=20", "optim.steps=1") == 0
    assert "ctc.weight" in read_checkpoint(place / "run/checkpoints/latest.pt")["model"]
    assert (place / "run/transcripts.model").is_file()
    encoder = load_encoder("run/encoder.pt")
    assert encoder.provenance["stages"][-1]["objective"] == "translation+ctc"
    assert not any(name.startswith("ctc") for name in encoder.state_dict())


@pytest.mark.slow
def test_accumulated_parts_are_one_update(place):
    """Each token has the same weight, whatever part it lies in."""
    assert midtrain("optim.accumulate=2", "data.batch_frames=200", "log_every=1", out="parts") == 0
    lines = [json.loads(line) for line in (place / "parts" / "log.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["split"] == "train"]
    assert len(train) == 4 and all(0 < line["loss"] < 10 and line["text_padding_percent"] < 100 for line in train)
