"""The encoder's config: bad values and unknown keys are named, and it survives a checkpoint."""

import dataclasses

import pytest

from mmpt.upstream.mmpt_av import EncoderConfig


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"n_layers": 0}, "n_layers must be a whole number"),
        ({"n_mels": 80.0}, "n_mels must be a whole number"),
        ({"ffn_dim": True}, "ffn_dim must be a whole number"),
        ({"n_heads": "4"}, "n_heads must be a whole number"),
        ({"d_model": 130}, "multiple of n_heads"),
        ({"d_model": 127, "n_heads": 1}, "even"),
        ({"conv_channels": 255}, "conv_channels must be even"),
        ({"conv_kernel": 3}, "conv_kernel 5"),
        ({"depthwise_kernel": 16}, "must be odd, got 16"),
        ({"dropout": 1.0}, r"\[0, 1\)"),
        ({"dropout": float("nan")}, r"\[0, 1\)"),
        ({"dropout": "0.1"}, r"\[0, 1\)"),
        ({"normalisation": "batch"}, "'utterance' or 'global', got 'batch'"),
        ({"feature_mean": (0.0,) * 80}, "belong to normalisation 'global'"),
        ({"normalisation": "global"}, "needs 80 numbers"),
        ({"normalisation": "global", "feature_mean": (0.0,) * 80, "feature_std": (1.0,) * 79}, "needs 80 numbers"),
        ({"normalisation": "global", "feature_mean": (0.0,) * 80, "feature_std": (0.0,) * 80}, "positive"),
        (
            {"normalisation": "global", "feature_mean": (float("nan"),) * 80, "feature_std": (1.0,) * 80},
            "needs 80 numbers",
        ),
        ({"normalisation": "global", "feature_mean": (None,) * 80, "feature_std": (1.0,) * 80}, "needs 80 numbers"),
    ],
)
def test_a_wrong_config_is_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(EncoderConfig.preset("tiny"), **changes)


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="unknown preset 'huge': choose from base, compact, tiny"):
        EncoderConfig.preset("huge")


def test_config_goes_to_a_dictionary_and_back():
    config = EncoderConfig(n_mels=3, normalisation="global", feature_mean=(1.0, 2.0, 3.0), feature_std=(1.0, 1.5, 2.0))
    values = config.to_dict()
    assert values["feature_mean"] == [1.0, 2.0, 3.0] and EncoderConfig.from_dict(values) == config
    with pytest.raises(ValueError, match="missing or unknown: depth, n_layers"):
        EncoderConfig.from_dict({("depth" if key == "n_layers" else key): value for key, value in values.items()})
