"""The expert behind S3PRL's own Featurizer, and the length rule of its S3PRLUpstream."""

import pytest
import torch

from mmpt.upstream.mmpt_av import CheckpointError, Encoder, EncoderConfig, save_encoder
from mmpt.upstream.mmpt_av.expert import UpstreamExpert
from mmpt.upstream.s3prl_runner import repairs

LENGTHS = [16000, 1, 399, 640, 641, 1039, 47999]


def noise(samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("expert") / "encoder.pt"
    save_encoder(Encoder(EncoderConfig.preset("tiny")), path, {"stages": []})
    return path


@pytest.fixture(scope="module")
def expert(checkpoint) -> UpstreamExpert:
    return UpstreamExpert(str(checkpoint), model_config=None, refresh=False)


@pytest.fixture(scope="module")
def interfaces():
    repairs.apply()
    import s3prl.upstream.interfaces

    return s3prl.upstream.interfaces


@torch.no_grad()
def test_states_are_batch_first_and_of_one_shape(expert):
    out = expert([noise(n) for n in LENGTHS])
    assert isinstance(out["hidden_states"], list)
    assert [tuple(states.shape) for states in out["hidden_states"]] == [(len(LENGTHS), 75, 96)] * 5
    assert torch.equal(out["last_hidden_state"], out["hidden_states"][-1])


def test_rate_is_a_whole_number(expert):
    for key in ("hidden_states", "last_hidden_state"):
        assert type(expert.get_downsample_rates(key)) is int and expert.get_downsample_rates(key) == 640


@torch.no_grad()
def test_lengths_follow_the_rule_of_s3prl_nn(expert):
    """`s3prl.nn.S3PRLUpstream` expects len(range(0, longest, rate)) states, and (n - 1) // rate + 1 of each item."""
    for longest in range(1, 2100, 131):
        states = expert([noise(longest), noise(max(1, longest // 2))])["hidden_states"]
        assert {layer.shape[1] for layer in states} == {
            len(range(0, longest, expert.get_downsample_rates("hidden_states")))
        }
    out = expert.encoder([noise(n) for n in LENGTHS])
    assert out.lengths.tolist() == [(n - 1) // 640 + 1 for n in LENGTHS]


def test_s3prls_featurizer_weights_the_layers(expert, interfaces):
    featurizer = interfaces.Featurizer(expert, "hidden_states", upstream_device="cpu")
    assert (featurizer.layer_num, featurizer.output_dim, featurizer.downsample_rate) == (5, 96, 640)
    wavs = [noise(n) for n in LENGTHS]
    with torch.no_grad():
        features = expert(wavs)
        items = featurizer(wavs, features)
        featurizer.weights.copy_(torch.tensor([0.0, 0.0, 50.0, 0.0, 0.0]))
        third = featurizer(wavs, features)
    # S3PRL slices to round(samples / rate): one sample is no state at all, by its rule.
    assert [tuple(item.shape) for item in items] == [(round(n / 640), 96) for n in LENGTHS]
    mean = torch.stack(features["hidden_states"]).mean(0)
    for row, (one, chosen) in enumerate(zip(items, third)):
        assert torch.allclose(one, mean[row, : len(one)], atol=1e-5)
        assert torch.allclose(chosen, features["hidden_states"][2][row, : len(chosen)], atol=1e-5)


def test_s3prls_featurizer_may_take_the_last_layer(expert, interfaces):
    featurizer = interfaces.Featurizer(expert, "last_hidden_state", upstream_device="cpu")
    wavs = [noise(6400), noise(12800)]
    with torch.no_grad():
        features = expert(wavs)
        items = featurizer(wavs, features)
    assert torch.equal(items[0], features["last_hidden_state"][0, :10]) and items[1].shape == (20, 96)


@torch.no_grad()
def test_an_item_is_the_same_alone_and_in_a_batch(expert):
    wavs = [noise(n) for n in LENGTHS]
    together = expert(wavs)["hidden_states"]
    for row, wav in enumerate(wavs):
        for batch, alone in zip(together, expert([wav])["hidden_states"]):
            assert (batch[row, : alone.shape[1]] - alone[0]).abs().max() <= 1e-5


@torch.no_grad()
def test_bfloat16_products_stay_near_float32(checkpoint, tmp_path, expert):
    """They are near the exact states but not equal, and the cache keeps the two apart."""
    (tmp_path / "half.yaml").write_text("precision: bfloat16\n")
    exact = expert([noise(16000)])["hidden_states"]
    for folder in (None, tmp_path / "states", tmp_path / "states"):
        half = UpstreamExpert(checkpoint, str(tmp_path / "half.yaml"), cache_dir=folder, cache_dtype="float32").eval()(
            [noise(16000)]
        )["hidden_states"]
        difference = max((one - other).abs().max().item() for one, other in zip(half, exact))
        assert half[-1].dtype is torch.float32 and 1e-4 < difference <= 2e-2
    other = UpstreamExpert(checkpoint, cache_dir=tmp_path / "states", cache_dtype="float32").eval()([noise(16000)])[
        "hidden_states"
    ]
    assert all(torch.equal(one, same) for one, same in zip(other, exact))


def test_starts_in_evaluation_mode_and_can_be_fine_tuned(expert):
    assert not any(module.training for module in expert.encoder.modules())
    expert([noise(6400)])["last_hidden_state"].square().mean().backward()
    assert all(parameter.grad is not None for parameter in expert.parameters())
    expert.zero_grad(set_to_none=True)


def test_each_layer_has_a_name_of_its_own(expert, interfaces):
    """S3PRL's `-s hidden_state_2`; the Featurizer takes the sum of all layers for a name that it does not find."""
    out = expert([noise(6400)])
    assert list(out) == ["hidden_states", "last_hidden_state", *(f"hidden_state_{layer}" for layer in range(5))]
    featurizer = interfaces.Featurizer(expert, "hidden_state_2", upstream_device="cpu")
    assert torch.equal(featurizer([noise(6400)], out)[0], out["hidden_states"][2][0])


@pytest.mark.parametrize(
    "given, hint", [("frame_hops", "frame_hop"), ("cachedir", "cache_dir"), ("precison", "precision")]
)
def test_a_misspelt_option_is_an_error(checkpoint, given, hint):
    with pytest.raises(CheckpointError, match=f"unknown option '{given}'; did you mean {hint}?"):
        UpstreamExpert(checkpoint, **{given: None})


def test_the_environment_names_the_checkpoint_where_no_path_is_given(checkpoint, monkeypatch):
    monkeypatch.setenv("MMPT_AV_CKPT", str(checkpoint))
    assert UpstreamExpert().encoder.config.d_model == 96
    with pytest.raises(CheckpointError, match="elsewhere.pt: no such file"):
        UpstreamExpert("elsewhere.pt")
    monkeypatch.setenv("MMPT_AV_CKPT", "")
    with pytest.raises(CheckpointError, match=r"^\$MMPT_AV_CKPT: is not set, and no path of an encoder checkpoint is"):
        UpstreamExpert()


def test_a_bad_checkpoint_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        UpstreamExpert(str(tmp_path / "absent.pt"))
