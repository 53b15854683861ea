"""Cached states: equal to computed ones, never stale, never half a file, within the limit."""

import copy
import os
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from mmpt.upstream.mmpt_av import CheckpointError, Encoder, EncoderConfig, load_encoder, save_encoder
from mmpt.upstream.mmpt_av.cache import ABANDONED_AFTER_S, COUNTED_AFTER, HEADER, StateCache
from mmpt.upstream.mmpt_av.expert import UpstreamExpert

LENGTHS = [16000, 1, 640, 641, 5000]


def noise(samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


WAVS = [noise(n) for n in LENGTHS]


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    save_encoder(Encoder(EncoderConfig.preset("tiny")), tmp_path / "encoder.pt", {"stages": []})
    return str(tmp_path / "encoder.pt")


def cached(checkpoint, tmp_path, **options) -> UpstreamExpert:
    return UpstreamExpert(checkpoint, cache_dir=str(tmp_path / "states"), **options)


@torch.no_grad()
def states(expert, wavs=None) -> list[torch.Tensor]:
    return expert(WAVS if wavs is None else wavs)["hidden_states"]


def difference(one, other) -> float:
    return max((a - b).abs().max().item() for a, b in zip(one, other, strict=True))


def kept(tmp_path):
    return [file for file in (tmp_path / "states").rglob("*") if file.is_file() and file.name != "about.json"]


def contents(tmp_path):
    return {file.name: file.read_bytes() for file in kept(tmp_path)}


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float16", 5e-3)])
@pytest.mark.parametrize("hop", [640, 320])
def test_states_are_those_of_the_encoder(checkpoint, tmp_path, dtype, tolerance, hop):
    plain = states(UpstreamExpert(checkpoint, frame_hop=hop))
    expert = cached(checkpoint, tmp_path, cache_dtype=dtype, frame_hop=hop)
    cold, warm = states(expert), states(expert)
    assert (expert.cache.read, expert.cache.computed) == (5, 5) and len(kept(tmp_path)) == 5
    assert difference(cold, plain) <= tolerance
    assert difference(warm, cold) == 0  # fresh states are rounded too
    assert [layer.dtype for layer in warm] == [torch.float32] * 5 and warm[0].shape == plain[0].shape


def test_a_batch_may_be_partly_cached(checkpoint, tmp_path):
    expert = cached(checkpoint, tmp_path, cache_dtype="float32")
    states(expert, [WAVS[2], WAVS[0]])
    assert difference(states(expert), states(UpstreamExpert(checkpoint))) <= 1e-5
    assert (expert.cache.read, expert.cache.computed) == (2, 5)


def test_stored_bytes_do_not_depend_on_the_batch(checkpoint, tmp_path):
    together, alone = cached(checkpoint, tmp_path / "together"), cached(checkpoint, tmp_path / "alone")
    states(together)
    for wav in WAVS:
        states(alone, [wav])
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")


def test_another_run_reads_stored_states(checkpoint, tmp_path):
    first = states(cached(checkpoint, tmp_path))
    second = cached(checkpoint, tmp_path)
    assert difference(states(second), first) == 0 and second.cache.computed == 0


def test_nothing_is_ever_stale(checkpoint, tmp_path):
    """Another waveform, encoder, hop, dtype or precision finds no states of the others."""
    expert = cached(checkpoint, tmp_path)
    states(expert)
    almost = WAVS[0].clone()
    almost[123] += 1e-7
    states(expert, [almost])
    assert expert.cache.read == 0
    torch.manual_seed(1)
    save_encoder(Encoder(EncoderConfig.preset("tiny")), tmp_path / "other.pt", {"stages": []})
    for file, options in (
        ("other.pt", {}),
        ("encoder.pt", {"frame_hop": 320}),
        ("encoder.pt", {"cache_dtype": "float32"}),
    ):
        other = cached(str(tmp_path / file), tmp_path, **options)
        states(other)
        assert other.cache.read == 0
    states(expert)
    assert expert.cache.read == 5  # the others did not overwrite its files
    with torch.autocast("cpu", torch.bfloat16):
        again = cached(checkpoint, tmp_path)
        states(again)
    assert again.cache.read == 0


def test_another_checkpoint_of_the_same_weights_shares_the_states(checkpoint, tmp_path):
    states(cached(checkpoint, tmp_path))
    save_encoder(load_encoder(checkpoint), tmp_path / "again.pt", {"stages": [{"note": "exported again"}]})
    again = cached(str(tmp_path / "again.pt"), tmp_path)
    states(again)
    assert again.cache.read == 5


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:10],
        lambda data: b"",
        lambda data: data + b"x",
        lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
        lambda data: HEADER.pack(b"anything", *HEADER.unpack(data[: HEADER.size])[1:]) + data[HEADER.size :],
    ],
)
def test_a_damaged_file_is_computed_again_and_replaced(checkpoint, tmp_path, damage):
    expert = cached(checkpoint, tmp_path)
    first = states(expert)
    victim = max(kept(tmp_path), key=lambda file: file.stat().st_size)
    whole = victim.read_bytes()
    victim.write_bytes(damage(whole))
    assert difference(states(expert), first) == 0
    assert expert.cache.computed == 6 and victim.read_bytes() == whole


def test_rows_that_are_kept_out_are_not_stored(checkpoint, tmp_path):
    expert = cached(checkpoint, tmp_path)
    expert.keep_out_of_cache({0, 3})
    states(expert)
    assert len(kept(tmp_path)) == 3
    states(expert)
    assert len(kept(tmp_path)) == 5


def test_only_what_is_stored_is_computed_alone(checkpoint, tmp_path):
    """A training of KS has three silences in a batch that are never stored: together they take half the time."""
    expert, batches = cached(checkpoint, tmp_path), []
    encode = expert.encoder.forward
    expert.encoder.forward = lambda wavs: batches.append([len(wav) for wav in wavs]) or encode(wavs)
    expert.keep_out_of_cache({0, 3})
    assert difference(states(expert), states(UpstreamExpert(checkpoint))) <= 5e-3
    assert sorted(batches) == [[1], [640], [5000], [16000, 641]]


def test_a_full_cache_stores_nothing_and_is_still_read(checkpoint, tmp_path, capsys):
    sizes = {}
    for n in (16000, 5000):
        expert = cached(checkpoint, tmp_path / str(n))
        states(expert, [noise(n)])
        sizes[n] = expert.cache.held
    full = cached(checkpoint, tmp_path, cache_limit_gb=(sizes[16000] + 10) / 1e9)
    states(full, [noise(16000)])
    assert not full.cache.full
    states(full, [noise(5000)])
    assert full.cache.full and "nothing is added" in capsys.readouterr().err
    before = kept(tmp_path)
    states(full, [noise(16000), noise(7777)])
    assert kept(tmp_path) == before and full.cache.read == 1


def test_the_bytes_of_other_jobs_count(checkpoint, tmp_path):
    states(cached(checkpoint, tmp_path))
    assert cached(checkpoint, tmp_path, cache_limit_gb=1e-6).cache.full


def test_a_full_disk_or_a_deleted_folder_stops_nothing(checkpoint, tmp_path, capsys, monkeypatch):
    expert = cached(checkpoint, tmp_path)

    def fails(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmpt.upstream.mmpt_av.atomic.os.replace", fails)
    assert difference(states(expert), states(UpstreamExpert(checkpoint))) <= 5e-3
    assert "No space left on device" in capsys.readouterr().err and expert.cache.full


@pytest.mark.parametrize("counts", [True, False], ids=["before a count", "otherwise"])
def test_a_folder_that_is_deleted_during_a_run_stops_nothing(checkpoint, tmp_path, capsys, counts):
    expert = cached(checkpoint, tmp_path / "cache")
    if counts:
        expert.cache.uncounted = COUNTED_AFTER
        expert.cache._write = lambda path, parts: None
    shutil.rmtree(tmp_path / "cache")
    assert difference(states(expert), states(UpstreamExpert(checkpoint))) <= 5e-3
    if counts:
        assert "cannot be read (No such file or directory)" in capsys.readouterr().err and expert.cache.full
    else:
        assert states(expert) and expert.cache.read == len(WAVS)  # it is made again


def test_a_subfolder_that_cannot_be_made_stops_nothing(checkpoint, tmp_path, capsys):
    expert = cached(checkpoint, tmp_path / "cache")
    shutil.rmtree(expert.cache.folder)
    expert.cache.folder.touch()
    assert difference(states(expert), states(UpstreamExpert(checkpoint))) <= 5e-3
    assert "cannot be written" in capsys.readouterr().err and expert.cache.full


def test_a_limit_of_0_is_refused(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="cache_limit_gb must be a positive number, got 0"):
        cached(checkpoint, tmp_path, cache_limit_gb=0)


def test_a_nearly_full_disk_is_left_to_others(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mmpt.upstream.mmpt_av.cache.shutil.disk_usage", lambda path: SimpleNamespace(free=1.9e9))
    expert = cached(checkpoint, tmp_path)
    assert difference(states(expert), states(UpstreamExpert(checkpoint))) <= 5e-3
    assert "a disk with 1.9 GB left" in capsys.readouterr().err and not kept(tmp_path)


def test_temporary_files_of_killed_jobs_are_deleted(checkpoint, tmp_path):
    expert = cached(checkpoint, tmp_path)
    old, new = expert.cache.folder / ".a.tmp", expert.cache.folder / ".b.tmp"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * ABANDONED_AFTER_S,) * 2)
    cached(checkpoint, tmp_path)
    assert not old.exists() and new.exists()


def test_states_too_large_for_float16_are_exact_but_not_stored(checkpoint, tmp_path):
    large = load_encoder(checkpoint)
    with torch.no_grad():
        large.linear.weight.mul_(1e7)
        expected = large(WAVS[:1]).hidden_states
    save_encoder(large, tmp_path / "large.pt", {"stages": []})
    expert = cached(str(tmp_path / "large.pt"), tmp_path)
    assert expected[0].abs().max() > 65504
    assert difference(states(expert, WAVS[:1]), expected) == 0 and not kept(tmp_path)


def test_train_changes_nothing(checkpoint, tmp_path):
    """The constructors of S3PRL's S3PRLUpstream and of ESPnet's models call it."""
    expert = cached(checkpoint, tmp_path)
    assert expert.train() is expert and expert.training
    fresh = states(expert)
    assert difference(states(expert.eval()), fresh) == 0 and expert.cache.read == 5
    assert not UpstreamExpert(checkpoint, cache_dir=tmp_path / "states").train().encoder.training
    assert UpstreamExpert(checkpoint).train().encoder.training


def test_a_gradient_is_refused_where_it_is_wanted(checkpoint, tmp_path):
    expert = cached(checkpoint, tmp_path).train()
    for _ in range(2):  # computed, and read
        found = expert(WAVS)["hidden_states"]
        with pytest.raises(CheckpointError, match="leave out cache_dir to train the encoder"):
            found[2].sum().backward()
    head = torch.nn.Linear(96, 1)
    expert.requires_grad_(False)
    head(expert(WAVS)["last_hidden_state"]).sum().backward()
    with torch.no_grad():
        assert not expert.requires_grad_(True)(WAVS)["last_hidden_state"].requires_grad


def test_other_weights_are_refused_however_they_came(checkpoint, tmp_path):
    """S3PRL's `randomize` writes them in place, ESPnet loads them through the module above."""
    expert = cached(checkpoint, tmp_path)
    expected = states(expert)
    above = torch.nn.ModuleList([expert])
    above.load_state_dict(copy.deepcopy(above.state_dict()))  # the same weights: ESPnet reloads them
    assert difference(states(expert), expected) == 0
    with torch.no_grad():
        expert.encoder.linear.weight.add_(1)
    with pytest.raises(CheckpointError, match="holds states of other weights"):
        states(expert)
    above.load_state_dict({name: torch.ones_like(tensor) for name, tensor in above.state_dict().items()})
    with pytest.raises(CheckpointError, match="holds states of other weights"):
        states(expert)


WRITE = """
import sys, torch
from mmpt.upstream.mmpt_av.expert import UpstreamExpert
torch.set_num_threads(1)
expert = UpstreamExpert(sys.argv[1], cache_dir=sys.argv[2])
wavs = [0.1 * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in range(3000, 9000, 150)]
with torch.no_grad():
    for round in range(int(sys.argv[3])):
        for wav in wavs:
            expert([wav])
"""


@pytest.mark.slow
def test_two_writers_and_a_killed_one_leave_whole_files(checkpoint, tmp_path):
    """Several processes write the same states while one is killed; all files are whole and correct."""
    folder = str(tmp_path / "states")
    doomed = subprocess.Popen([sys.executable, "-c", WRITE, checkpoint, folder, "1000"])
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, checkpoint, folder, "1"]) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    doomed.kill()
    doomed.wait()
    wavs = [noise(n) for n in range(3000, 9000, 150)]
    expert = cached(checkpoint, tmp_path)
    assert difference(states(expert, wavs), states(UpstreamExpert(checkpoint), wavs)) <= 5e-3
    assert (expert.cache.read, expert.cache.computed) == (40, 0)


def test_space_is_counted(checkpoint, tmp_path):
    expert = cached(checkpoint, tmp_path)
    states(expert)
    assert expert.cache.held == sum(file.stat().st_size for file in (tmp_path / "states").rglob("*") if file.is_file())
    assert isinstance(expert.cache, StateCache)
