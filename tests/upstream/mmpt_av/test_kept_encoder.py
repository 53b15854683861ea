"""An encoder checkpoint of an earlier version loads and computes what it did (tests/kept)."""

import numpy
import torch

from mmpt.upstream.mmpt_av import load_encoder

from helpers.kept import MICRO, unpack


def test_an_old_encoder_has_its_sizes_states_and_provenance(tmp_path):
    folder = unpack("encoder", tmp_path)
    encoder = load_encoder(folder / "encoder.pt").eval()
    assert MICRO.items() <= encoder.config.to_dict().items()
    assert encoder.provenance["stages"] == [
        {"stage": "pretrain", "objective": "clr", "data": "kept", "clips": 8, "steps": 4, "revision": "1c13d29"}
    ]
    wav = torch.from_numpy(numpy.random.default_rng(0).normal(0, 0.1, 8000).astype(numpy.float32))
    with torch.no_grad():
        states = encoder([wav]).hidden_states
    expected = torch.load(folder / "states.pt", weights_only=True)
    assert len(states) == len(expected) == 2
    for ours, theirs in zip(states, expected):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
