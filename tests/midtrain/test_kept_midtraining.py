"""A prepared language of MuST-C and a run of stage 2 of an earlier version: read, exported, resumed (tests/kept)."""

import pytest
from torch import nn

from mmpt.midtrain import decoder
from mmpt.midtrain.corpus import open_corpus
from mmpt.midtrain.run import main
from mmpt.midtrain.translate import main as translate
from mmpt.scripts.export import main as export
from mmpt.upstream.mmpt_av import load_encoder

from helpers.kept import MICRO, check_log, logged, unpack


@pytest.fixture
def kept(tmp_path):
    return unpack("midtrain", tmp_path)


def test_an_old_prepared_corpus_is_read(kept):
    corpus = open_corpus(kept / "must_c_it", "it", 3000)
    sizes = {name: len(corpus.read(name).segments) for name in ("train", "dev", "tst-COMMON")}
    assert sizes == {"train": 6, "dev": 2, "tst-COMMON": 2}


def test_an_old_run_is_exported(kept):
    out = kept / "exported.pt"
    assert export([str(kept / "midtrain/checkpoints/step_00000004.pt"), "--out", str(out)]) == 0
    encoder = load_encoder(out)
    stages = encoder.provenance["stages"]
    assert [stage["stage"] for stage in stages] == ["pretrain", "midtrain"] and stages[-1]["steps"] == 4
    assert MICRO.items() <= encoder.config.to_dict().items()


def test_an_old_run_translates(kept, capsys):
    arguments = ["--data", str(kept / "must_c_it"), "--split", "dev", "--out", str(kept / "translations")]
    assert translate([str(kept / "midtrain"), *arguments]) == 0
    assert "BLEU" in capsys.readouterr().out


@pytest.mark.slow
def test_an_old_run_goes_on_as_the_old_code_did(kept, monkeypatch):
    """The log tells what the old code computed after the checkpoint; the resumed run computes the same.

    The decoder's dropout was PyTorch's own, which draws other numbers.
    """
    monkeypatch.setattr(decoder, "Dropout", nn.Dropout)
    run = kept / "midtrain"
    before = logged(run)
    assert main(["--out", str(run), "--resume", "--data", str(kept / "must_c_it")]) == 0
    check_log(run, before, dict.fromkeys(("loss", "translation", "nll", "ctc", "gradient_norm", "bleu"), 1e-3))
    assert load_encoder(run / "encoder.pt").provenance["stages"][-1]["steps"] == 6
