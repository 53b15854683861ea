"""States twice as dense: interpolation compared with torch's own, lengths, and how the choice is stored."""

import dataclasses
import math

import pytest
import torch
from torch.nn.functional import interpolate

from mmpt.upstream.mmpt_av import CheckpointError, Encoder, EncoderConfig, load_encoder, save_encoder
from mmpt.upstream.mmpt_av.checkpoint import read_plain, write_atomically
from mmpt.upstream.mmpt_av.expert import UpstreamExpert

LENGTHS = [16000, 1, 320, 321, 640, 641, 960, 961, 1039, 47999]


def noise(samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


@pytest.fixture(scope="module")
def pair() -> tuple[Encoder, Encoder]:
    """Return one encoder at 640 and at 320 samples a state."""
    encoders = []
    for hop in (640, 320):
        torch.manual_seed(0)
        encoders.append(Encoder(dataclasses.replace(EncoderConfig.preset("tiny"), frame_hop=hop)).eval())
    return tuple(encoders)


@torch.no_grad()
def test_states_are_torchs_linear_interpolation(pair):
    coarse, fine = (encoder([noise(n) for n in LENGTHS]) for encoder in pair)
    assert fine.lengths.tolist() == [math.ceil(n / 320) for n in LENGTHS]
    for before, after in zip(coarse.hidden_states, fine.hidden_states):
        assert after.shape == (len(LENGTHS), 150, 96)
        for row, (n, wanted) in enumerate(zip(coarse.lengths.tolist(), fine.lengths.tolist())):
            expected = interpolate(before[row, :n].T[None], scale_factor=2, mode="linear", align_corners=False)[0].T
            assert torch.allclose(after[row, :wanted], expected[:wanted], atol=1e-6)
            assert not after[row, wanted:].any()


@torch.no_grad()
@pytest.mark.parametrize("samples", [1, 319, 641, 5000, 16001])
def test_dense_states_do_not_depend_on_the_batch(pair, samples):
    alone = pair[1]([noise(samples)]).hidden_states
    together = pair[1]([noise(30000), noise(samples), noise(900)]).hidden_states
    for one, batch in zip(alone, together):
        assert (batch[1, : one.shape[1]] - one[0]).abs().max() <= 1e-5


@torch.no_grad()
def test_features_may_have_any_number_of_frames(pair):
    feats = [torch.randn(frames, 80) for frames in (1, 2, 3, 4, 5, 97)]
    assert pair[0].encode_features(feats).lengths.tolist() == [1, 1, 1, 1, 2, 25]
    assert pair[1].encode_features(feats).lengths.tolist() == [1, 1, 2, 2, 3, 49]


def test_gradients_pass_through_the_interpolation(pair):
    pair[1]([noise(5000), noise(700)]).hidden_states[-1].square().mean().backward()
    assert all(parameter.grad is not None for parameter in pair[1].parameters())
    pair[1].zero_grad(set_to_none=True)


@pytest.mark.parametrize("hop", [160, 0, 640.0, "640", None, True])
def test_other_hops_are_refused(hop):
    with pytest.raises(ValueError, match="frame_hop must be 640 or 320"):
        dataclasses.replace(EncoderConfig.preset("tiny"), frame_hop=hop)


@torch.no_grad()
def test_a_checkpoint_keeps_the_hop_and_older_ones_have_640(pair, tmp_path):
    save_encoder(pair[1], tmp_path / "fine.pt", {"stages": []})
    loaded = load_encoder(tmp_path / "fine.pt")
    assert loaded.hop == 320 and torch.equal(
        loaded([noise(999)]).hidden_states[-1], pair[1]([noise(999)]).hidden_states[-1]
    )
    content = read_plain(tmp_path / "fine.pt")
    del content["config"]["frame_hop"]
    write_atomically(content, tmp_path / "old.pt")
    assert load_encoder(tmp_path / "old.pt").hop == 640


@torch.no_grad()
def test_the_expert_declares_the_rate_it_gives(pair, tmp_path):
    save_encoder(pair[0], tmp_path / "encoder.pt", {"stages": []})
    (tmp_path / "options.yaml").write_text("frame_hop: 320\n")
    expert = UpstreamExpert(str(tmp_path / "encoder.pt"), str(tmp_path / "options.yaml"))
    assert expert.get_downsample_rates("hidden_states") == 320
    for longest in range(1, 2100, 97):
        states = expert([noise(longest), noise(max(1, longest // 2))])["hidden_states"]
        assert {layer.shape[1] for layer in states} == {len(range(0, longest, 320))}
    assert (
        UpstreamExpert(str(tmp_path / "encoder.pt"), str(tmp_path / "options.yaml"), frame_hop=640).encoder.hop == 640
    )


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("frame_hop: 160", "frame_hop must be 640 or 320"),
        ("frame_hops: 320", "did you mean frame_hop"),
        ("precision: float16", "precision must be float32 or bfloat16, got 'float16'"),
        ("- 320", "must hold lines"),
        ("a: b: c", "cannot be read as YAML"),
        ("cache_dir: states\ncache_dtype: bfloat16", "cache_dtype must be float16 or float32"),
        ("cache_dir: states\ncache_limit_gb: -1", "cache_limit_gb must be a positive number"),
        ("cache_dir: states\ncache_limit_gb: much", "cache_limit_gb must be a positive number"),
    ],
)
def test_bad_options_are_one_line(pair, tmp_path, text, complaint):
    save_encoder(pair[0], tmp_path / "encoder.pt", {"stages": []})
    (tmp_path / "options.yaml").write_text(text)
    with pytest.raises(CheckpointError, match=complaint) as caught:
        UpstreamExpert(str(tmp_path / "encoder.pt"), str(tmp_path / "options.yaml"))
    assert "options.yaml" in str(caught.value) and "\n" not in str(caught.value)
