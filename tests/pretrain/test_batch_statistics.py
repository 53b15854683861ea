"""Batch statistics after masked training: those of whole clips, in every encoder that is exported."""

import copy
import shutil

import pytest
import torch

from mmpt.pretrain.batch_statistics import estimate_statistics, training_clips, use_whole_clips
from mmpt.pretrain.run import main as pretrain
from mmpt.pretrain.settings import PretrainSettings
from mmpt.scripts.export import main as export
from mmpt.training.checkpoints import read_checkpoint
from mmpt.training.distributed import Counts
from mmpt.training.media import MediaError
from mmpt.training.settings import from_plain
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, config, load_encoder
from mmpt.upstream.mmpt_av.conformer import FrameBatchNorm

from helpers.kept import MICRO, unpack
from helpers.no_waiting import fake_gpu, to_fake_gpu
from helpers.small_model import counts_of, masks_of, noise_batch, packed, small_model
from helpers.small_run import SMALL, write_small_manifest

LATEST = "run/checkpoints/latest.pt"


def norms_of(encoder):
    return [module for module in encoder.modules() if isinstance(module, FrameBatchNorm)]


def statistics(encoder) -> list:
    return [value.clone() for norm in norms_of(encoder) for value in (norm.running_mean, norm.running_var)]


def slow_statistics(encoder, feats) -> list:
    """Mean and variance of all that goes into each batch norm while the clips are encoded one by one."""
    inputs = [[] for _ in norms_of(encoder)]
    hooks = [
        norm.register_forward_pre_hook(lambda _, arguments, one=one: one.append(arguments[0].clone()))
        for norm, one in zip(norms_of(encoder), inputs)
    ]
    with torch.no_grad():
        for clip in feats:
            encoder.encode_features([clip])
    for hook in hooks:
        hook.remove()
    return [value for one in inputs for value in (torch.cat(one).mean(0), torch.cat(one).var(0))]


def check(encoder, feats, tolerance) -> None:
    for ours, slow in zip(statistics(encoder), slow_statistics(encoder, feats), strict=True):
        torch.testing.assert_close(ours, slow, rtol=tolerance, atol=tolerance)


def test_statistics_are_those_of_all_frames():
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(**{**MICRO, "n_layers": 3})).double()  # in training mode, with dropout
    batches = [noise_batch(clips)[2] for clips in ([0, 1], [2], [3, 4, 5])]
    feats = [clip for batch in batches for clip in batch]
    weights = {name: value.clone() for name, value in encoder.state_dict().items() if "running" not in name}
    before = statistics(encoder)
    estimate_statistics(encoder, batches)
    assert not encoder.training and not any(map(torch.equal, statistics(encoder), before))
    check(encoder, feats, 1e-9)
    assert all(torch.equal(encoder.state_dict()[name], value) for name, value in weights.items())
    once = statistics(encoder)
    estimate_statistics(encoder, batches)
    assert all(map(torch.equal, statistics(encoder), once))


@pytest.mark.parametrize(
    "objective, sees, counted",
    [
        ("mae", "everything", ["masked"]),
        ("mae+clr", "masked", ["masked"]),
        ("mae+clr", "everything", ["whole"]),
        ("clr", "everything", ["whole"]),
    ],
)
def test_the_masked_pass_counts_only_if_it_is_alone(objective, sees, counted):
    """With a pass over whole clips, that one alone moves the running statistics."""
    model = small_model(objective, clr_sees=sees).train()
    alone = copy.deepcopy(model)
    ids, samples, feats, video = noise_batch([0, 1, 2, 3])
    masks = masks_of(model, ids, samples)
    model(*packed(feats), video, masks, Counts([counts_of(ids, masks)]))
    if counted == ["whole"]:
        alone.encoder.encode_features(feats)
    else:
        alone.encode_seen(*packed(feats), masks)
    for ours, theirs in zip(statistics(model.encoder), statistics(alone.encoder), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A finished run of the masked objective, with its clips."""
    folder = tmp_path_factory.mktemp("statistics")
    manifest = write_small_manifest(folder / "clips")
    decoder = ["masked.decoder_width=32", "masked.decoder_layers=1", "masked.decoder_heads=2"]
    options = ["--objective", "mae", "--data", str(manifest), "--out", str(folder / "run"), *SMALL, *decoder]
    assert pretrain([*options, "optim.steps=4", "optim.lr=1e-2"]) == 0
    return folder


def features(encoder, checkpoint, manifest) -> list:
    """The features of a run's training clips as its first epoch has them, double."""
    clips = training_clips(from_plain(PretrainSettings, read_checkpoint(checkpoint)["settings"]), manifest)
    return [one.double() for i in range(len(clips)) for one in encoder.filterbank.separate([clips[0, i].wav])]


def stage_of(encoder) -> dict:
    return encoder.provenance["stages"][-1]


@pytest.mark.slow
def test_a_run_leaves_an_encoder_with_statistics_of_whole_clips(place):
    encoder = load_encoder(place / "run/encoder.pt")
    trained = read_checkpoint(place / LATEST)["model"]
    changed = {n for n, value in encoder.state_dict().items() if not torch.equal(trained["encoder." + n], value)}
    assert changed == {n for n in encoder.state_dict() if "running" in n}
    assert stage_of(encoder)["batch_statistics"] == "unmasked"
    check(encoder.double(), features(encoder, place / LATEST, place / "clips/manifest.tsv"), 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["run", LATEST])
def test_an_export_has_the_bits_of_the_run(place, source):
    out = place / "again.pt"
    assert export([str(place / source), "--out", str(out), "--fresh"]) == 0
    ours, reference = load_encoder(out), load_encoder(place / "run/encoder.pt")
    assert all(torch.equal(value, ours.state_dict()[n]) for n, value in reference.state_dict().items())
    assert ours.provenance == reference.provenance


@pytest.mark.slow
def test_averaged_weights_get_statistics_of_their_own(place):
    assert export([str(place / "run"), "--which", "average", "--out", str(place / "average.pt"), "--fresh"]) == 0
    encoder = load_encoder(place / "average.pt")
    assert stage_of(encoder)["averaged_steps"] == [2, 4] and stage_of(encoder)["batch_statistics"] == "unmasked"
    check(encoder.double(), features(encoder, place / LATEST, place / "clips/manifest.tsv"), 1e-4)


@pytest.mark.slow
def test_a_run_whose_clips_are_gone_is_exported_with_a_warning(place, tmp_path, capsys):
    run, clips = tmp_path / "run", tmp_path / "moved"
    shutil.copytree(place / "run", run, symlinks=True)
    shutil.move(place / "clips", clips)
    try:
        assert export([str(run), "--out", str(tmp_path / "masked.pt")]) == 0
        assert "no such manifest" in capsys.readouterr().err
        named = ["--data", str(clips / "manifest.tsv")]
        assert export([str(run), "--out", str(tmp_path / "whole.pt"), *named]) == 0
        assert export([str(run), "--out", str(tmp_path / "none.pt"), "--data", str(tmp_path / "nowhere")]) == 2
    finally:
        shutil.move(clips, place / "clips")
    masked, whole = load_encoder(tmp_path / "masked.pt"), load_encoder(tmp_path / "whole.pt")
    trained = read_checkpoint(run / "checkpoints/latest.pt")["model"]
    assert all(torch.equal(trained["encoder." + n], value) for n, value in masked.state_dict().items())
    assert (stage_of(masked)["batch_statistics"], stage_of(whole)["batch_statistics"]) == ("masked", "unmasked")
    reference = load_encoder(place / "run/encoder.pt").state_dict()
    assert all(torch.equal(reference[n], value) for n, value in whole.state_dict().items())


def test_an_old_run_gets_statistics_of_whole_clips(tmp_path, monkeypatch):
    monkeypatch.setitem(config.PRESETS, "tiny", MICRO)
    kept = unpack("pretrain", tmp_path)
    checkpoint = kept / "pretrain/checkpoints/step_00000004.pt"
    assert export([str(checkpoint), "--data", str(kept / "shards"), "--out", str(kept / "e.pt")]) == 0
    encoder = load_encoder(kept / "e.pt")
    assert stage_of(encoder)["batch_statistics"] == "unmasked"
    check(encoder.double(), features(encoder, checkpoint, kept / "shards"), 1e-4)


class Silences:
    """Stands for training clips."""

    seed = 0

    def __len__(self):
        return 3

    def sound(self, epoch, index):
        return torch.zeros(3200 + 640 * index)


def move_fake(module, device):
    """Move fake weights, which `to` cannot."""
    for part in module.modules():
        for name, weight in part.named_parameters(recurse=False):
            part._parameters[name] = torch.nn.Parameter(weight.detach().to(device))
        for name, value in part.named_buffers(recurse=False):
            part._buffers[name] = value.to(device)
    return module


def test_they_are_computed_on_the_gpu_and_the_encoder_comes_back_from_it(monkeypatch):
    monkeypatch.setattr(Encoder, "to", move_fake)
    monkeypatch.setattr(Encoder, "cpu", lambda encoder: move_fake(encoder, "cpu"))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr("mmpt.pretrain.batch_statistics.epoch_order", lambda items, seed, epoch: [*range(items)])
    encoder, seen = Encoder(EncoderConfig(**MICRO)), set()
    for norm in norms_of(encoder):
        norm.register_forward_pre_hook(lambda _, inputs: seen.add(inputs[0].device.type))
    with fake_gpu() as mode:
        encoder = to_fake_gpu(encoder, mode).cpu()
        use_whole_clips(encoder, Silences(), torch.device("cuda"))
        broken = Silences()
        monkeypatch.setattr(broken, "sound", unreadable)
        with pytest.raises(InputError, match="not one of 3 training clips can be read"):
            use_whole_clips(encoder, broken, torch.device("cuda"))
    assert seen == {"cuda"}
    assert {value.device.type for value in (*encoder.parameters(), *encoder.buffers())} == {"cpu"}


def unreadable(epoch, index):
    raise MediaError("it is broken")


def test_clips_that_cannot_be_read_are_left_out(tmp_path):
    manifest = write_small_manifest(tmp_path)
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(**MICRO))
    (tmp_path / "t3.mp4").write_bytes(b"broken")
    clips = training_clips(PretrainSettings(), manifest)
    assert use_whole_clips(encoder, clips, torch.device("cpu")) == {"batch_statistics": "unmasked"}
    readable = [clips[0, i].wav for i in range(len(clips)) if i != 3]
    feats = [one.double() for one in encoder.filterbank.separate(readable)]
    check(encoder.double(), feats, 1e-4)
    for file in tmp_path.glob("t*.mp4"):
        file.write_bytes(b"broken")
    with pytest.raises(InputError, match="not one of 9 training clips can be read"):
        use_whole_clips(encoder, clips, torch.device("cpu"))
