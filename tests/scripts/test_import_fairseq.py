"""fairseq's encoders: the same states layer by layer; other models are refused."""

import argparse
import copy
from fractions import Fraction
from pathlib import Path

import numpy
import pytest
import torch

from mmpt.scripts import import_fairseq
from mmpt.upstream.mmpt_av import load_encoder
from mmpt.upstream.mmpt_av.checkpoint import file_hash

REFERENCE = Path(__file__).resolve().parent / "fairseq"


def reference(form):
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(REFERENCE / f"s2t_conformer_{form}.pt", weights_only=True)


def imported(tmp_path, checkpoint, *options):
    assert import_fairseq.main([str(checkpoint), "--out", str(tmp_path / "encoder.pt"), *options]) == 0
    return load_encoder(tmp_path / "encoder.pt")


@pytest.mark.parametrize("form, utterances, layers", [("args", 3, 3), ("cfg", 2, 2)])
def test_every_layer_gives_fairseq_s_states(tmp_path, form, utterances, layers, capsys):
    encoder = imported(tmp_path, REFERENCE / f"s2t_conformer_{form}.pt")
    expected = numpy.load(REFERENCE / f"s2t_conformer_{form}.npz")
    feats = [torch.from_numpy(expected[f"feats_{i}"]) for i in range(utterances)]
    with torch.no_grad():
        together = encoder.encode_features(feats)
        for i, one in enumerate(feats):
            states = torch.from_numpy(expected[f"states_{i}"])
            alone = encoder.encode_features([one]).hidden_states
            assert len(alone) == layers + 1 == len(states) + 1 and alone[1].shape[1:] == states[0].shape
            for layer, reference_states in enumerate(states, start=1):
                assert torch.allclose(alone[layer][0], reference_states, atol=1e-4), layer
                assert torch.allclose(
                    together.hidden_states[layer][i, : len(reference_states)], reference_states, atol=1e-4
                ), layer
    assert "left out: decoder.* (2 keys)" in capsys.readouterr().out
    stage = encoder.provenance["stages"][0]
    assert stage["architecture"] == "s2t_conformer"
    assert stage["file_sha256"] == file_hash(REFERENCE / f"s2t_conformer_{form}.pt")


def test_old_files_ctc_heads_and_global_statistics_are_taken(tmp_path, capsys):
    content = reference("args")
    content["model"]["encoder.ctc_fc.weight"] = torch.zeros(9, 64)
    content["model"]["encoder.embed_positions._float_tensor"] = torch.zeros(1)
    content["optimizer_history"] = [{"num_updates": 1234}]
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    mean, std = numpy.arange(80, dtype=numpy.float32), numpy.full(80, 2.0, dtype=numpy.float32)
    numpy.savez(tmp_path / "gcmvn.npz", mean=mean, std=std)
    encoder = imported(tmp_path, tmp_path / "old.pt", "--global-cmvn", str(tmp_path / "gcmvn.npz"))
    plain = imported(tmp_path, REFERENCE / "s2t_conformer_args.pt", "--fresh")
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in encoder.state_dict().items())
    assert (encoder.config.normalisation, plain.config.normalisation) == ("global", "utterance")
    assert encoder.config.feature_mean == tuple(mean.tolist())
    wav = torch.randn(16000) * 0.1
    raw = plain.filterbank.energies(wav[None] * 32768)[0]
    assert torch.allclose(encoder.filterbank([wav])[0][0, :98], (raw[:98] - torch.from_numpy(mean)) / 2, atol=1e-4)
    assert encoder.provenance["stages"][0]["steps"] == 1234
    assert "left out: encoder.ctc_fc.* (1 key)" in capsys.readouterr().out


def options(**changed):
    def change(content):
        vars(content["args"]).update(changed)

    return change


def without(key):
    return lambda content: content["model"].pop(key)


def with_weight(key, *shape):
    return lambda content: content["model"].update({key: torch.zeros(shape)})


LAYER = "encoder.conformer_layers.1."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            options(arch="s2t_transformer_s"),
            "is of architecture 's2t_transformer_s', no s2t_conformer: its layers are Transformer's",
        ),
        (options(arch="wav2vec2"), "is of architecture 'wav2vec2', no s2t_conformer"),
        (options(arch="convtransformer"), "is of architecture 'convtransformer'"),
        (options(pos_enc_type="rel_pos", attn_type="espnet"), "its positions are 'rel_pos'"),
        (options(pos_enc_type="rope"), "its positions are 'rope'"),
        (options(attn_type="espnet"), "its attention is 'espnet''s, which has other weights"),
        (options(conv_version="convtransformer"), "its sub-sampling is 'convtransformer''s"),
        (options(conv_kernel_sizes="3,3"), "its sub-sampling kernels are 3,3, not 5,5"),
        (options(no_scale_embedding=True), "no_scale_embedding"),
        (options(depthwise_conv_kernel_size=16), "depthwise_kernel must be odd, got 16"),
        (options(encoder_layers=4), "has no encoder.conformer_layers.3."),
        (options(encoder_layers=2), "encoder.conformer_layers.2."),
        (options(encoder_ffn_embed_dim=64), "has shape (128, 64), the config asks for (64, 64)"),
        (lambda content: delattr(content["args"], "conv_channels"), "its options lack conv_channels"),
        (without(LAYER + "self_attn.k_proj.bias"), "has no encoder.conformer_layers.1.self_attn.k_proj.bias"),
        (
            with_weight(LAYER + "self_attn.linear_pos.weight", 64, 64),
            "self_attn.linear_pos.weight and 0 more weights of its encoder have no place",
        ),
        (with_weight("encoder.w2v_model.x", 3), "begins with a wav2vec encoder"),
        (
            lambda content: content["model"][LAYER + "ffn1.w_1.bias"].fill_(float("nan")),
            "blocks.1.ffn1.1.bias holds NaN",
        ),
        (
            lambda content: content.update(args=None),
            "is not a fairseq checkpoint: it has no `model` beside `args` or `cfg`",
        ),
        (lambda content: content.update(args=None, cfg={"task": 1}), "has no options of its model"),
        (
            lambda content: content.update(extra_state=Fraction(1, 2)),
            "holds fractions.Fraction, which is not loaded, as it could run code; where fairseq is installed",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, capsys, change, message):
    content = copy.deepcopy(reference("args"))
    change(content)
    torch.save(content, tmp_path / "other.pt")
    assert import_fairseq.main([str(tmp_path / "other.pt"), "--out", str(tmp_path / "encoder.pt")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ") and error.count("\n") == 1
    assert not (tmp_path / "encoder.pt").exists()


def damaged(folder):
    whole = (REFERENCE / "s2t_conformer_cfg.pt").read_bytes()
    (folder / "bad.pt").write_bytes(whole[:100_000] + b"\0" * 99 + whole[100_099:])


def cut(folder):
    (folder / "bad.pt").write_bytes((REFERENCE / "s2t_conformer_cfg.pt").read_bytes()[:-1000])


def words(folder):
    (folder / "bad.pt").write_text("not a checkpoint")


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (damaged, ("bad.pt",), "bad.pt: is damaged"),
        (cut, ("bad.pt",), "bad.pt: is damaged or not a PyTorch checkpoint"),
        (words, ("bad.pt",), "bad.pt: is damaged or not a PyTorch checkpoint"),
        (None, ("nowhere.pt",), "nowhere.pt: no such file"),
        (None, (".",), "is a folder, not a checkpoint file"),
        (
            words,
            (str(REFERENCE / "s2t_conformer_cfg.pt"), "--global-cmvn", "bad.pt"),
            "bad.pt: not fairseq's gcmvn.npz",
        ),
        (None, (str(REFERENCE / "s2t_conformer_cfg.pt"), "--global-cmvn", "no.npz"), "no.npz: no such file"),
    ],
)
def test_bad_files_are_one_line(tmp_path, monkeypatch, capsys, make, arguments, message):
    monkeypatch.chdir(tmp_path)
    if make:
        make(tmp_path)
    assert import_fairseq.main([*arguments, "--out", "encoder.pt"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "encoder.pt").exists()


def test_nothing_is_overwritten(tmp_path, capsys):
    imported(tmp_path, REFERENCE / "s2t_conformer_cfg.pt")
    assert import_fairseq.main([str(REFERENCE / "s2t_conformer_args.pt"), "--out", str(tmp_path / "encoder.pt")]) == 2
    assert "is there already; --fresh replaces it" in capsys.readouterr().err
    assert load_encoder(tmp_path / "encoder.pt").config.n_layers == 2
