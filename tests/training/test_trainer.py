"""Training runs, here of stage 1: they learn, resume to the same end, leave an encoder, and refuse bad input."""

import json
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmpt.pretrain.manifest import read_manifest
from mmpt.pretrain.manifest import write_manifest as write_clips
from mmpt.pretrain.run import CONFIGS, main
from mmpt.pretrain.settings import PretrainSettings
from mmpt.pretrain.task import AudioVisualTask
from mmpt.pretrain.validation_record import read_record
from mmpt.scripts.export import main as export
from mmpt.training import meter, trainer
from mmpt.training.checkpoints import Checkpoints, read_checkpoint
from mmpt.training.half_weights import HalfWeights
from mmpt.training.resuming import check_resumable, fixed_settings
from mmpt.training.settings import load_settings, to_plain
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import config, load_encoder
from mmpt.upstream.mmpt_av.conformer import ConformerBlock

from helpers.clip_files import write_manifest
from helpers.kept import MICRO
from helpers.small_run import SMALL, write_small_manifest


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return write_small_manifest(tmp_path_factory.mktemp("clips"))


def run(manifest, out, *more) -> int:
    return main(["--objective", "clr", "--data", str(manifest), "--out", str(out), *SMALL, *more])


@pytest.fixture(scope="module")
def unbroken(manifest, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    assert run(manifest, out, "optim.steps=6") == 0
    return out


@pytest.mark.slow
def test_run_folder_is_complete(unbroken):
    lines = [json.loads(line) for line in (unbroken / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["split"] == "train"] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in lines if line["split"] == "dev"] == [0, 4, 6]
    assert {"loss", "lr", "gradient_norm", "clips_per_s", "data_wait_percent"} <= set(lines[1])
    names = {p.name for p in (unbroken / "checkpoints").iterdir()}
    assert {"latest.pt", "best.pt"} <= names and not any(n.endswith(".tmp") for n in names)
    assert read_checkpoint(unbroken / "checkpoints" / "latest.pt")["step"] == 6
    for picture in ("retrieval_00000000", "retrieval_00000006", "validation"):
        assert (unbroken / "pictures" / f"{picture}.png").stat().st_size > 1000
    assert sorted({row.step for row in read_record(unbroken)}) == [0, 4, 6]
    assert any((unbroken / "tensorboard").iterdir())
    stage = load_encoder(unbroken / "encoder.pt").provenance["stages"][-1]
    assert (stage["stage"], stage["objective"], stage["data"], stage["steps"]) == ("pretrain", "clr", "mock", 6)


@pytest.mark.slow
def test_exported_encoder_has_the_weights_of_the_checkpoints(unbroken, tmp_path):
    trained = read_checkpoint(unbroken / "checkpoints" / "latest.pt")["model"]
    state = load_encoder(unbroken / "encoder.pt").state_dict()
    assert all(torch.equal(trained["encoder." + name], value) for name, value in state.items())
    assert export([str(unbroken), "--out", str(tmp_path / "e.pt"), "--which", "average"]) == 0
    kept = [read_checkpoint(file)["model"] for file in Checkpoints(unbroken).scheduled()]
    name = "linear.weight"
    mean = torch.stack([c["encoder." + name] for c in kept]).double().mean(0).float()
    assert len(kept) == 3 and torch.equal(load_encoder(tmp_path / "e.pt").state_dict()[name], mean)
    assert export([str(unbroken), "--out", str(tmp_path / "e.pt")]) == 2  # never overwritten without --fresh


@pytest.mark.slow
def test_resumed_run_ends_as_an_unbroken_one(manifest, unbroken, tmp_path, monkeypatch):
    """SIGTERM between two checkpoints, then --resume: the bits and checkpoints of a run without the interruption."""
    out, steps, loss = tmp_path / "broken", [], AudioVisualTask.loss

    def interrupted(task, *arguments):
        steps.append(1)
        if len(steps) == 3:
            signal.raise_signal(signal.SIGTERM)
        return loss(task, *arguments)

    monkeypatch.setattr(AudioVisualTask, "loss", interrupted)
    with pytest.raises(SystemExit) as stopped:
        run(manifest, out, "optim.steps=6")
    assert stopped.value.code == 128 + signal.SIGTERM and len(steps) == 3
    assert main(["--out", str(out), "--resume"]) == 0  # with the run's own settings and data
    assert len(steps) == 6
    ours, reference = (load_encoder(folder / "encoder.pt") for folder in (out, unbroken))
    for name, value in reference.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    assert ours.provenance == reference.provenance
    names = [sorted(p.name for p in (folder / "checkpoints").glob("step_*")) for folder in (out, unbroken)]
    assert names[0] == names[1]
    logged = [
        [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (out, unbroken)
    ]
    assert logged[0] == logged[1]
    assert (out / "validation.tsv").read_bytes() == (unbroken / "validation.tsv").read_bytes()


@pytest.mark.slow
def test_a_wait_is_logged_in_the_interval_that_it_falls_in(manifest, tmp_path, monkeypatch):
    """An update takes ten seconds. The second batch, which is read during the first update, takes thirty more."""
    clock = SimpleNamespace(now=0.0)
    batches, loss = AudioVisualTask.batches, AudioVisualTask.loss
    seconds = iter([0.0, 30.0, 10.0, 0.0])

    def slow_batches(task, epoch, skip):
        for batch in batches(task, epoch, skip):
            clock.now += next(seconds)
            yield batch

    def slow_loss(task, *arguments):
        clock.now += 10.0
        return loss(task, *arguments)

    monkeypatch.setattr(meter, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(AudioVisualTask, "batches", slow_batches)
    monkeypatch.setattr(AudioVisualTask, "loss", slow_loss)
    assert run(manifest, tmp_path / "run", "optim.steps=4", "validate_every=4") == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    # The third begins an epoch: it is read before its update.
    assert [line["data_wait_percent"] for line in lines if line["split"] == "train"] == [75.0, 0.0, 50.0, 0.0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective, options",
    [
        ("mae", ["optim.accumulate=2"]),
        (
            "mae+clr",
            [
                "masked.clr_sees=masked",
                "masked.audio_mask=zero",
                "precision=bfloat16",
                "data.workers=1",
                "data.memory_gb=0",
            ],
        ),
    ],
)
def test_masked_objectives_train(manifest, tmp_path, objective, options):
    decoder = ["masked.decoder_width=32", "masked.decoder_layers=1", "masked.decoder_heads=2"]
    assert (
        main(
            [
                "--objective",
                objective,
                "--data",
                str(manifest),
                "--out",
                str(tmp_path / "run"),
                *SMALL,
                *decoder,
                *options,
                "optim.steps=4",
            ]
        )
        == 0
    )
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    train, dev = ([line for line in lines if line["split"] == name] for name in ("train", "dev"))
    assert len(train) == 4 and all(0 < line["audio"] < 10 and 0 < line["video"] < 10 for line in train)
    assert all(
        line["loss"] == pytest.approx(line["audio"] + line["video"] + line.get("clr", 0), rel=1e-3) for line in train
    )
    assert train[-1]["left_out_clips"] == 1  # of the nine, one did not fill a batch of the first epoch
    assert 0 < dev[-1]["audio_error"] < 10 and 0 < dev[-1]["video_error_over_mean"]
    assert ("audio_to_video_r1" in dev[-1]) == ("temperature" in train[-1]) == (objective == "mae+clr")
    assert (tmp_path / "run" / "pictures" / "reconstruction_00000004.png").stat().st_size > 10_000
    assert load_encoder(tmp_path / "run" / "encoder.pt").provenance["stages"][-1]["objective"] == objective


@pytest.mark.slow
def test_all_passes_of_an_update_use_copies_of_the_weights(manifest, tmp_path, monkeypatch):
    """Those for the update's contrast, its own, and those of checkpointed blocks in the backward pass."""
    passes = []
    forward = ConformerBlock.forward

    def watched(block, *inputs):
        if block.training:
            passes.append(block.ffn1[1].weight.dtype)
        return forward(block, *inputs)

    monkeypatch.setattr(ConformerBlock, "forward", watched)
    # Only GPUs use them, and on a CPU the layer before the blocks computes in float32.
    monkeypatch.setattr(trainer, "half_weights", lambda model, *_: HalfWeights(model.encoder.blocks, torch.bfloat16))
    options = ["precision=bfloat16", "optim.steps=1", "optim.accumulate=2", "optim.checkpoint_blocks=true"]
    assert run(manifest, tmp_path / "run", *options) == 0
    assert passes == [torch.bfloat16] * 3 * 2 * config.PRESETS["tiny"]["n_layers"]


@pytest.mark.slow
def test_compiled_blocks_give_the_same_losses(manifest, tmp_path, monkeypatch):
    """With one block of each kind, traced and differentiated by torch.compile, for sounds of several lengths.

    The kernels that it writes are left out: they take half a minute (those of the encoder: upstream/test_compile.py).
    """
    monkeypatch.setitem(config.PRESETS, "tiny", {**MICRO, "dropout": 0.0})  # compiled, it draws other numbers
    compile_block, compiled = torch.nn.Module.compile, []

    def traced(block, **options):
        compiled.append(type(block).__name__)
        compile_block(block, **{**options, "backend": "aot_eager"})

    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    losses = []
    for name in ("false", "true"):
        assert compiled == []
        arguments = ["optim.steps=3", "validate_every=3", "video.d_model=16", "video.n_heads=2", f"compile={name}"]
        assert run(manifest, tmp_path / name, *arguments) == 0
        lines = (tmp_path / name / "log.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines if '"train"' in line])
    assert compiled == ["ConformerBlock", "TransformerBlock"]
    assert len(losses[0]) == 3 and losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.slow
def test_existing_runs_are_not_overwritten(manifest, unbroken, capsys):
    before = (unbroken / "encoder.pt").read_bytes()
    assert run(manifest, unbroken, "optim.steps=6") == 2
    assert "--resume" in capsys.readouterr().err
    assert run(manifest, unbroken, "optim.steps=6", "optim.lr=0.5", "--resume") == 2
    assert "other settings" in capsys.readouterr().err
    assert (unbroken / "encoder.pt").read_bytes() == before


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["--data", "nowhere.tsv"], "no such manifest"),
        (["--resume"], "no run to resume"),
        (["--config", "nowhere.yaml"], "no such config"),
        (["device=quantum", "--config", str(CONFIGS / "samples.yaml")], "device=quantum"),
    ],
)
def test_bad_input_is_one_line(manifest, tmp_path: Path, capsys, arguments, complaint):
    assert main(["--data", str(manifest), "--out", str(tmp_path / "run"), *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert complaint in error and "\n" not in error


@pytest.mark.slow
def test_too_many_bad_clips_stop_the_run(tmp_path, capsys):
    manifest = write_manifest(
        tmp_path / "clips",
        [(f"t{i}", 1.0, "train", "a") for i in range(8)] + [(f"d{i}", 1.0, "dev", "a") for i in range(3)],
    )
    for name in ("t1", "t5"):
        (manifest.parent / f"{name}.mp4").write_bytes(b"broken")
    assert run(manifest, tmp_path / "run", "optim.steps=4") == 2
    assert "max_bad_share" in capsys.readouterr().err
    assert run(manifest, tmp_path / "run", "optim.steps=4", "data.max_bad_share=0.5", "--fresh") == 0
    listed = [json.loads(line)["id"] for line in (tmp_path / "run" / "skipped.jsonl").read_text().splitlines()]
    assert sorted(listed) == ["t1", "t5"]


@pytest.mark.slow
def test_a_kill_between_a_best_checkpoint_and_its_link_is_repaired(manifest, unbroken, tmp_path):
    out = tmp_path / "run"
    assert run(manifest, out, "optim.steps=4") == 0
    checkpoints = out / "checkpoints"
    assert read_checkpoint(checkpoints / "step_00000004.pt")["is_best"]
    (checkpoints / "best.pt").unlink()
    (checkpoints / "best.pt").symlink_to("step_00000002.pt")  # as if it had not been moved yet
    (checkpoints / ".step_00000004.pt.half.tmp").write_bytes(b"half")
    with (out / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "split": "train", "lo')
    assert main(["--out", str(out), "--resume"]) == 0
    assert (checkpoints / "best.pt").resolve().name == "step_00000004.pt"
    assert not list(checkpoints.glob(".*"))
    assert [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()] == [0, 1, 2, 3, 4, 4]


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_starts_again(manifest, unbroken, tmp_path):
    out = tmp_path / "run"
    assert run(manifest, out, "optim.steps=6") == 0
    for file in (out / "checkpoints").iterdir():
        file.unlink()
    (out / "log.jsonl").write_text('{"step": 1, "split": "train", "loss": 0}\n')
    assert main(["--out", str(out), "--resume"]) == 0
    assert len((out / "log.jsonl").read_text().splitlines()) == len((unbroken / "log.jsonl").read_text().splitlines())
    assert (out / "validation.tsv").read_bytes() == (unbroken / "validation.tsv").read_bytes()


@pytest.mark.slow
def test_a_run_that_cannot_be_resumed_is_one_line(manifest, unbroken, tmp_path, capsys):
    out = tmp_path / "run"
    shutil.copytree(unbroken, out, symlinks=True)
    shorter = tmp_path / "shorter.tsv"  # other data under the same settings
    write_clips(shorter, read_manifest(manifest)[1:])
    assert main(["--out", str(out), "--resume", "--data", str(shorter)]) == 2
    assert "training data are not those" in capsys.readouterr().err
    for file in (out / "checkpoints").glob("*_*.pt"):
        file.write_bytes(b"damaged")
    assert main(["--out", str(out), "--resume"]) == 2
    assert "none of its 3 checkpoints can be read" in capsys.readouterr().err


@pytest.mark.slow
def test_one_command_starts_or_resumes_in_a_job_queue(manifest, tmp_path, capsys):
    assert run(manifest, tmp_path / "run", "optim.steps=2", "--resume-if-there") == 0
    assert "Resumed" not in capsys.readouterr().out
    assert run(manifest, tmp_path / "run", "optim.steps=2", "--resume-if-there", "--fresh") == 0
    assert "Resumed" in capsys.readouterr().out


def test_which_settings_may_change_at_a_resume():
    settings = to_plain(load_settings(PretrainSettings, CONFIGS / "samples.yaml", []))
    other = to_plain(
        load_settings(
            PretrainSettings, CONFIGS / "samples.yaml", ["device=cpu", "log_every=3", "data.workers=0", "peak_tflops=5"]
        )
    )
    assert settings != other and fixed_settings(settings) == fixed_settings(other)
    for override in ("optim.lr=0.5", "data.batch_size=8", "seed=4"):
        assert fixed_settings(
            to_plain(load_settings(PretrainSettings, CONFIGS / "samples.yaml", [override]))
        ) != fixed_settings(settings)


def test_a_setting_that_was_added_since_has_its_default_in_an_older_run():
    settings = load_settings(PretrainSettings, CONFIGS / "samples.yaml", [])
    state = {"settings": to_plain(settings), "random": [None], "data_mark": 1}
    del state["settings"]["video"]["pool"]
    check_resumable(state, settings, 1, 1)
    other = load_settings(PretrainSettings, CONFIGS / "samples.yaml", ["video.pool=attention"])
    with pytest.raises(InputError, match=r"other settings \(video\.pool\)"):
        check_resumable(state, other, 1, 1)
