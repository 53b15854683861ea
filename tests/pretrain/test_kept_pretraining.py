"""Shards and a run of stage 1 of an earlier version: read, exported, resumed (tests/kept)."""

import pytest

from mmpt.pretrain.run import main
from mmpt.scripts.export import main as export
from mmpt.scripts.prepare.shards import main as prepare_shards
from mmpt.upstream.mmpt_av import config, load_encoder

from helpers.kept import MICRO, check_log, logged, unpack


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setitem(config.PRESETS, "tiny", MICRO)
    return unpack("pretrain", tmp_path)


def test_old_shards_are_whole(kept, capsys):
    assert prepare_shards(["--out", str(kept / "shards"), "--verify"]) == 0
    assert "6 files" in capsys.readouterr().out


def test_an_old_run_is_exported(kept):
    out = kept / "exported.pt"
    assert export([str(kept / "pretrain/checkpoints/step_00000004.pt"), "--out", str(out)]) == 0
    encoder = load_encoder(out)
    stage = encoder.provenance["stages"][-1]
    assert (stage["stage"], stage["objective"], stage["steps"]) == ("pretrain", "mae+clr", 4)
    assert MICRO.items() <= encoder.config.to_dict().items()


@pytest.mark.slow
def test_an_old_run_goes_on_as_the_old_code_did(kept):
    """The log tells what the old code computed after the checkpoint; the resumed run computes the same.

    But for the pictures: another library decodes them now, and rounds otherwise.
    """
    run = kept / "pretrain"
    before = logged(run)
    assert main(["--out", str(run), "--resume", "--data", str(kept / "shards")]) == 0
    seen = dict.fromkeys(("loss", "video", "clr", "gradient_norm", "video_error"), 0.03)
    check_log(run, before, {**seen, "audio": 1e-3, "audio_error": 1e-3})
    assert load_encoder(run / "encoder.pt").provenance["stages"][-1]["steps"] == 6
