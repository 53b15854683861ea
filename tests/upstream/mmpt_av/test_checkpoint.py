"""The encoder checkpoint: it is read as it was written, and nothing else is accepted."""

import copy
import errno
import json
import os
import pickle
import stat
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from mmpt.upstream.mmpt_av import CheckpointError, Encoder, EncoderConfig, load_encoder, save_encoder
from mmpt.upstream.mmpt_av import checkpoint as module
from mmpt.upstream.mmpt_av.checkpoint import file_hash, write_atomically

CONFIG = EncoderConfig(n_mels=8, conv_channels=8, d_model=8, n_layers=2, n_heads=2, ffn_dim=16, depthwise_kernel=3)
PROVENANCE = {
    "stages": [{"objective": "clr", "data": "samples", "steps": 10, "language": None, "parents": ["ab" * 32]}]
}
WEIGHT = "blocks.1.attention.qkv.weight"


def make() -> Encoder:
    torch.manual_seed(0)
    return Encoder(CONFIG)


@pytest.fixture
def good(tmp_path) -> Path:
    path = tmp_path / "good.pt"
    save_encoder(make(), path, PROVENANCE)
    return path


def check_refused(path: Path, *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_encoder(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and len(message.splitlines()) == 1 and len(message) < len(str(path)) + 200
    for word in words:
        assert word in message


# --- Round trip ------------------------------------------------------------------------------------------------------


def test_an_encoder_survives_saving_and_loading(tmp_path):
    encoder = make()
    encoder.train()([torch.randn(9000), torch.randn(700)])  # batch statistics travel too
    path = tmp_path / "new" / "folder" / "encoder.pt"
    save_encoder(encoder, path, PROVENANCE)
    loaded = load_encoder(path)
    assert not loaded.training and loaded.config == CONFIG and loaded.provenance == PROVENANCE
    assert loaded.state_dict().keys() == encoder.state_dict().keys()
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in encoder.state_dict().items())
    wavs = [torch.randn(5000), torch.randn(641)]
    with torch.no_grad():
        pairs = list(zip(encoder.eval()(wavs).hidden_states, loaded(wavs).hidden_states))
    assert len(pairs) == 3 and all(torch.equal(one, other) for one, other in pairs)


def test_global_statistics_survive_saving_and_loading(tmp_path):
    config = EncoderConfig(
        **{**CONFIG.to_dict(), "normalisation": "global", "feature_mean": (1.5,) * 8, "feature_std": (0.5,) * 8}
    )
    save_encoder(Encoder(config), tmp_path / "encoder.pt", {})
    loaded = load_encoder(tmp_path / "encoder.pt")
    assert loaded.config == config and torch.equal(loaded.filterbank.mean, torch.full((8,), 1.5))


def test_plain_torch_reads_a_checkpoint(good):
    content = torch.load(good, weights_only=True)
    assert set(content) == {"format", "version", "config", "state_dict", "provenance"}
    assert (content["format"], content["version"], content["provenance"]) == ("mmpt_av", 1, PROVENANCE)
    assert json.loads(json.dumps(content["config"])) == content["config"]
    assert not any(name.startswith("filterbank") for name in content["state_dict"])  # constants, not weights


def test_the_same_weights_give_the_same_bytes(tmp_path):
    hashes = set()
    for folder in ("a", "b"):
        save_encoder(make(), tmp_path / folder / "encoder.pt", PROVENANCE)
        hashes.add(file_hash(tmp_path / folder / "encoder.pt"))
    assert len(hashes) == 1 and len(hashes.pop()) == 64


def test_provenance_becomes_plain_values(tmp_path):
    """`torch.__version__` is a class of torch's own; the file must not need it."""
    save_encoder(make(), tmp_path / "encoder.pt", {"torch": torch.__version__, "languages": ("it", "fr")})
    assert load_encoder(tmp_path / "encoder.pt").provenance == {
        "torch": str(torch.__version__),
        "languages": ["it", "fr"],
    }


def test_provenance_that_cannot_be_read_again_is_not_written(tmp_path):
    with pytest.raises(TypeError, match="Path"):
        save_encoder(make(), tmp_path / "encoder.pt", {"data": Path("data")})
    assert list(tmp_path.iterdir()) == []


# --- Damaged and foreign files ---------------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path):
    check_refused(tmp_path / "absent.pt", "no such file")


def test_a_folder_is_refused(tmp_path):
    check_refused(tmp_path, "is a folder")


FOREIGN = {
    "empty": (b"", "0 bytes"),
    "text": (b"hello, this is text\n", "not a PyTorch checkpoint"),
    "readme": (b"# README\n", "not a PyTorch checkpoint"),
    "json": (b'{"format": "mmpt_av"}\n', "not a PyTorch checkpoint"),
    "zeros": (bytes(1000), "not a PyTorch checkpoint"),
    "random": (
        torch.randint(256, (5000,), generator=torch.Generator().manual_seed(0)).to(torch.uint8).numpy().tobytes(),
        "not a PyTorch checkpoint",
    ),
    "pickle": (pickle.dumps({"format": "mmpt_av"}, protocol=2), "not a PyTorch checkpoint"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_bytes_are_refused(tmp_path, kind):
    content, words = FOREIGN[kind]
    path = tmp_path / "encoder.pt"
    path.write_bytes(content)
    check_refused(path, words)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_a_truncated_file_is_refused(good, share):
    whole = good.read_bytes()
    good.write_bytes(whole[: min(max(1, int(share * len(whole))), len(whole) - 1)])
    check_refused(good, "truncated, damaged or not a PyTorch checkpoint")


@pytest.mark.parametrize("part", [WEIGHT, "linear.bias"])
def test_one_flipped_bit_is_found(good, part):
    """Torch alone would load it as a weight."""
    weight = torch.load(good, weights_only=True)["state_dict"][part].numpy().tobytes()
    content = bytearray(good.read_bytes())
    content[content.index(weight) + 1] ^= 1
    good.write_bytes(content)
    check_refused(good, "is damaged: the checksum of", "is wrong")


def test_a_zip_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "encoder.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "nothing of torch in here")
    check_refused(path, "not a PyTorch checkpoint")


class Malicious:
    def __init__(self, victim: Path):
        self.victim = victim

    def __reduce__(self):
        return os.mkdir, (str(self.victim),)


@pytest.mark.parametrize(
    "dump", [torch.save, pickle.dump, lambda value, file: torch.save(value, file, _use_new_zipfile_serialization=False)]
)
def test_a_malicious_file_is_not_executed(good, tmp_path, dump):
    content = torch.load(good, weights_only=True)
    victim = tmp_path / "victim"
    path = tmp_path / "evil.pt"
    with path.open("wb") as file:
        dump({**content, "provenance": Malicious(victim)}, file)
    check_refused(path)
    assert not victim.exists()
    if dump is torch.save:
        check_refused(path, "could run code")
        torch.load(path, weights_only=False)  # without the guard the file does run code
        assert victim.exists()


@pytest.mark.parametrize("content", [types.SimpleNamespace(a=1), make()], ids=["namespace", "module"])
def test_a_file_with_objects_is_refused(tmp_path, content):
    torch.save({"args": content}, tmp_path / "encoder.pt")
    check_refused(tmp_path / "encoder.pt", "refused", "could run code")


@pytest.mark.parametrize(
    "content, words",
    [
        (
            {"args": None, "model": {}, "optimizer_history": []},
            "a dictionary with args, model, optimizer_history",
        ),  # fairseq's
        ({}, "a dictionary with nothing in it"),
        (OrderedDict(weight=torch.zeros(2)), "a dictionary with weight"),
        ([1, 2], "but list"),
        (torch.zeros(3), "but Tensor"),
        ({"format": "mmpt_av_training", "model": {}}, "export.py"),
        ({"format": torch.zeros(2)}, "not an encoder checkpoint"),
    ],
)
def test_other_content_is_described(tmp_path, content, words):
    torch.save(content, tmp_path / "encoder.pt")
    check_refused(tmp_path / "encoder.pt", words)


# --- Right format, wrong content -------------------------------------------------------------------------------------


def with_nan(tensor: torch.Tensor, value: float) -> torch.Tensor:
    return tensor.clone().index_fill_(0, torch.tensor([1]), value)


def state(change):
    return lambda content: change(content["state_dict"])


def setting(**values):
    return lambda content: content["config"].update(values)


def statistics(mean: list, std: list):
    return setting(normalisation="global", feature_mean=mean, feature_std=std)


BAD = {
    "version 2": (lambda c: c.update(version=2), "version 2; this code reads version 1"),
    "version as text": (lambda c: c.update(version="1"), "version '1'"),
    "version as truth": (lambda c: c.update(version=True), "version True"),
    "version as tensor": (lambda c: c.update(version=torch.tensor([1, 1])), "version tensor"),
    "no version": (lambda c: c.pop("version"), "version None"),
    "no provenance": (lambda c: c.pop("provenance"), "missing or unknown: provenance"),
    "no state": (lambda c: c.pop("state_dict"), "missing or unknown: state_dict"),
    "more content": (lambda c: c.update(optimizer={}), "missing or unknown: optimizer"),
    "a key that is no text": (lambda c: c.update({3: 4}), "missing or unknown: 3"),
    "provenance a list": (lambda c: c.update(provenance=[]), "provenance must be"),
    "provenance none": (lambda c: c.update(provenance=None), "provenance must be"),
    "config a list": (lambda c: c.update(config=[]), "config"),
    "state a list": (lambda c: c.update(state_dict=[]), "state_dict is a list"),
    "missing weight": (state(lambda s: s.pop(WEIGHT)), "1 missing key, first " + WEIGHT),
    "missing weights": (
        state(lambda s: [s.pop(n) for n in list(s) if n.startswith("blocks.0")]),
        "missing keys, first blocks.0.",
    ),
    "unexpected weight": (state(lambda s: s.update(video=torch.zeros(2))), "1 unexpected key, first video"),
    "unexpected key that is no text": (state(lambda s: s.update({3: torch.zeros(2)})), "1 unexpected key, first 3"),
    "wrong shape": (
        state(lambda s: s.update({WEIGHT: torch.zeros(8, 24)})),
        f"{WEIGHT} has shape (8, 24), the config asks for (24, 8)",
    ),
    "shape that broadcasts": (state(lambda s: s.update({"linear.bias": torch.zeros(1)})), "linear.bias has shape (1,)"),
    "NaN": (state(lambda s: s.update({WEIGHT: with_nan(s[WEIGHT], float("nan"))})), f"{WEIGHT} holds NaN"),
    "Inf": (state(lambda s: s.update({WEIGHT: with_nan(s[WEIGHT], float("inf"))})), f"{WEIGHT} holds NaN or infinite"),
    "too large for float32": (
        state(lambda s: s.update({WEIGHT: torch.full((24, 8), 1e300, dtype=torch.float64)})),
        f"{WEIGHT} holds NaN or infinite",
    ),
    "NaN statistics": (
        state(lambda s: s.update({"blocks.0.convolution.batch_norm.running_var": torch.full((8,), float("nan"))})),
        "running_var holds NaN",
    ),
    "whole numbers": (
        state(lambda s: s.update({WEIGHT: torch.zeros(24, 8, dtype=torch.int64)})),
        f"{WEIGHT} is not a tensor of kind torch.float32",
    ),
    "truths": (
        state(lambda s: s.update({WEIGHT: torch.zeros(24, 8, dtype=torch.bool)})),
        f"{WEIGHT} is not a tensor of kind",
    ),
    "complex": (
        state(lambda s: s.update({WEIGHT: torch.zeros(24, 8, dtype=torch.complex64)})),
        f"{WEIGHT} is not a tensor of kind",
    ),
    "counter with fractions": (
        state(lambda s: s.update({"blocks.0.convolution.batch_norm.num_batches_tracked": torch.tensor(1.5)})),
        "num_batches_tracked is not",
    ),
    "a weight as list": (state(lambda s: s.update({WEIGHT: [0.0]})), f"{WEIGHT} is not a tensor"),
    "sparse": (state(lambda s: s.update({WEIGHT: torch.eye(24, 8).to_sparse()})), f"{WEIGHT} is not a tensor"),
    "without data": (
        state(lambda s: s.update({WEIGHT: torch.empty(24, 8, device="meta")})),
        f"{WEIGHT} is not a tensor",
    ),
    "unknown setting": (setting(depth=3), "config: config keys missing or unknown: depth"),
    "missing setting": (lambda c: c["config"].pop("n_layers"), "config: config keys missing or unknown: n_layers"),
    "bad setting": (setting(n_heads=3), "config: d_model (8) must be even and a multiple of n_heads (3)"),
    "setting of another kind": (setting(d_model="8"), "config: d_model must be a whole number"),
    "dropout of another kind": (setting(dropout=None), "config: dropout must lie in [0, 1)"),
    "another size": (setting(ffn_dim=32), "the config asks for (32, 8)"),
    "another depth": (setting(n_layers=3), "missing keys, first blocks.2."),
    "absurd size": (setting(ffn_dim=2**62), "config: no encoder of these sizes"),
    "more absurd size": (setting(ffn_dim=10**30), "config: no encoder of these sizes"),
    "statistics missing": (setting(normalisation="global"), "config: normalisation 'global' needs 8"),
    "statistics of nothing": (statistics([None] * 8, [1.0] * 8), "config: normalisation 'global' needs 8"),
    "statistics of text": (statistics(["a"] * 8, [1.0] * 8), "config: normalisation 'global' needs 8"),
    "NaN in the config": (statistics([0.0] * 8, [float("nan")] * 8), "config: normalisation 'global' needs 8"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_wrong_content_is_refused(good, kind):
    change, words = BAD[kind]
    content = copy.deepcopy(torch.load(good, weights_only=True))
    change(content)
    torch.save(content, good)
    check_refused(good, words)


def test_half_precision_weights_are_accepted(good):
    content = torch.load(good, weights_only=True)
    halves = {
        name: tensor.bfloat16() if tensor.is_floating_point() else tensor
        for name, tensor in content["state_dict"].items()
    }
    torch.save({**content, "state_dict": halves}, good)
    loaded = load_encoder(good).state_dict()
    assert loaded[WEIGHT].dtype == torch.float32 and torch.equal(loaded[WEIGHT], halves[WEIGHT].float())


def test_half_precision_halves_the_file_and_moves_states_by_rounding_alone(tmp_path):
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig.preset("tiny")).eval()
    whole, half = tmp_path / "whole.pt", tmp_path / "half.pt"
    save_encoder(encoder, whole, PROVENANCE)
    save_encoder(encoder, half, PROVENANCE, half=True)
    assert half.stat().st_size < 0.52 * whole.stat().st_size and file_hash(half) != file_hash(whole)
    loaded = load_encoder(half)
    assert loaded.provenance["stages"] == [{**PROVENANCE["stages"][0], "rounded_to": "float16"}]
    assert all(parameter.dtype == torch.float32 for parameter in loaded.parameters())
    for name, parameter in loaded.named_parameters():
        assert torch.equal(parameter, encoder.state_dict()[name].half().float())
    wavs = [torch.randn(16000), torch.randn(700)]
    with torch.no_grad():
        states, rounded = encoder(wavs).hidden_states, loaded(wavs).hidden_states
    assert all(0 < (a - b).norm() <= 1e-3 * a.norm() for a, b in zip(states, rounded))
    save_encoder(loaded, tmp_path / "again.pt", loaded.provenance, half=True)
    assert file_hash(tmp_path / "again.pt") == file_hash(half)


def test_half_precision_spares_what_it_would_damage(tmp_path):
    encoder = make()
    variances = encoder.blocks[0].convolution.batch_norm.running_var.fill_(1e-9)  # zero in float16
    with torch.no_grad():
        encoder.get_parameter(WEIGHT)[0, 0] = 1e5  # infinite in float16
    save_encoder(encoder, tmp_path / "half.pt", PROVENANCE, half=True)
    loaded = load_encoder(tmp_path / "half.pt")
    assert torch.equal(loaded.blocks[0].convolution.batch_norm.running_var, variances)
    assert torch.equal(loaded.get_parameter(WEIGHT), encoder.get_parameter(WEIGHT))


def test_an_infinite_weight_in_half_precision_is_refused(good):
    content = torch.load(good, weights_only=True)
    content["state_dict"][WEIGHT] = torch.full((24, 8), 1e5).half()
    torch.save(content, good)
    check_refused(good, f"{WEIGHT} holds NaN or infinite")


# --- Writing ---------------------------------------------------------------------------------------------------------


def failing(*_):
    raise OSError("No space left on device")


def half_written(value, file):
    file.write(b"half a file")
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "where, error", [("torch.save", KeyboardInterrupt), ("os.fsync", OSError), ("os.replace", OSError)]
)
def test_a_failure_while_saving_leaves_the_old_file(good, monkeypatch, where, error):
    before = good.read_bytes()
    owner, name = where.split(".")
    monkeypatch.setattr(getattr(module, owner), name, half_written if owner == "torch" else failing)
    with pytest.raises(error):
        save_encoder(make(), good, {"stages": ["another"]})
    monkeypatch.undo()
    assert good.read_bytes() == before
    assert [path.name for path in good.parent.iterdir()] == ["good.pt"]


def test_a_file_is_synced_before_it_is_renamed(tmp_path, monkeypatch):
    done = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(module.os, "fsync", lambda handle: done.append("sync") or sync(handle))
    monkeypatch.setattr(module.os, "replace", lambda *paths: done.append("rename") or replace(*paths))
    write_atomically({"a": 1}, tmp_path / "file.pt")
    assert done == ["sync", "rename"]


def test_others_may_read_the_file(tmp_path):
    umask = os.umask(0o022)
    try:
        write_atomically({"a": 1}, tmp_path / "file.pt")
        assert os.umask(0o022) == 0o022  # the process's own mask is unchanged
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "file.pt").stat().st_mode) == 0o644


def test_the_error_is_one_line_whatever_the_problem():
    error = CheckpointError("a/b.pt", "first\nsecond   third\n")
    assert str(error) == "a/b.pt: first second third"


def test_a_files_hash_is_its_sha_256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_hash(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_full_disk_is_named_with_the_file(tmp_path, monkeypatch):
    """Torch's writer raises an error of its own over the system's, and that one does not know the file's name."""

    def save(value, file):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("[enforce fail at inline_container.cc:672]")  # noqa: B904

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(OSError, match="No space left") as error:
        write_atomically({}, tmp_path / "encoder.pt")
    assert error.value.filename == str(tmp_path / "encoder.pt") and not any(tmp_path.iterdir())
