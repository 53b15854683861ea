"""Contrastive learning in parts gives the losses and the gradients of the whole update at once."""

import json

import pytest
import torch

from mmpt.pretrain.contrast_in_parts import contrast_parts
from mmpt.training.distributed import Counts, World
from mmpt.upstream.repository import REPOSITORY

from helpers.contrast_parts import compare, inputs_of
from helpers.small_model import small_model
from helpers.torchrun import torchrun

CASES = {
    "clr": ("clr", {}),
    "mae+clr": ("mae+clr", {}),
    "mae+clr, masked encodings": ("mae+clr", {"clr_sees": "masked", "audio_mask": "zero", "loss_on": "all"}),
}


def assert_equal(found: dict[str, float]) -> None:
    assert {"loss clr", "gradient of contrast.log_scale"} <= found.keys()
    assert {name: value for name, value in found.items() if not value <= 1e-9} == {}


@pytest.mark.parametrize("case", CASES)
def test_three_parts_are_one(case):
    assert_equal(compare(*CASES[case], World()))


@pytest.mark.slow
def test_two_parts_on_each_of_two_ranks_are_one(tmp_path):
    script = str(REPOSITORY / "tests" / "helpers" / "contrast_parts.py")
    result = torchrun(2, script, json.dumps(CASES), folder=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    for found in json.loads(result.stdout).values():
        assert_equal(found)


@pytest.mark.parametrize("case", CASES)
def test_dropout_is_the_same_in_both_passes(case):
    """Then the embeddings are; other draws, of masked passes and parts, differ."""
    objective, options = CASES[case]
    model = small_model(objective, **options).train()
    for module in model.modules():
        if hasattr(module, "p"):
            module.p = 0.3
    embedded: list[torch.Tensor] = []
    project = model.project

    def noted(*means):
        embedded.append(torch.cat(project(*means)))
        return project(*means)

    model.project = noted
    parts = [inputs_of(model, clips)[1] for clips in ([0, 1, 2], [3, 4, 5])]
    counts = Counts([{"clips": 6, "audio_frames": 50, "video_tubelets": 50}])
    ahead = contrast_parts(parts, lambda one: model.compared(*one), model.contrast, counts)
    for inputs, part in zip(parts, ahead):
        state = torch.get_rng_state()
        model(*inputs, counts, part)
        assert case != "clr" or torch.equal(state, torch.get_rng_state())
    first, second = embedded[:2], embedded[2:]
    assert all(torch.equal(one, other) for one, other in zip(first, second))
    again = contrast_parts(parts, lambda one: model.compared(*one), model.contrast, counts)
    assert not torch.equal(embedded[0], embedded[4]) and again[0].loss != ahead[0].loss


def test_a_fixed_temperature_stays():
    model = small_model("clr").eval()
    model.contrast.log_scale.requires_grad_(False)
    _, inputs = inputs_of(model, [0, 1, 2])
    counts = Counts([{"clips": 3}])
    (part,) = contrast_parts([inputs], lambda one: model.compared(*one), model.contrast, counts)
    losses = model(*inputs, counts, part)
    losses["loss"].backward()
    assert model.contrast.log_scale.grad is None
    assert losses["clr"].item() == pytest.approx(model(*inputs, counts)["clr"].item(), rel=1e-9)
