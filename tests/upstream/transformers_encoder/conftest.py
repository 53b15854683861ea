"""The small models of all families, saved once a test run."""

import pytest
import torch

from mmpt.upstream.transformers_encoder.expert import UpstreamExpert

from helpers.transformers_folders import MODELS, save_model


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Map each model's name to its folder."""
    root = tmp_path_factory.mktemp("transformers")
    return {name: save_model(name, root / name) for name in MODELS}


@pytest.fixture(scope="session")
def experts(folders):
    """Map each model's name to its expert, ready to encode."""
    return {name: UpstreamExpert(str(folder)).eval() for name, folder in folders.items()}


@pytest.fixture(scope="session")
def noise():
    """Return a function that makes the same waveform whenever it is asked for the same number of samples."""

    def make(samples: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(samples)
        return 0.02 + 0.1 * torch.randn(samples, generator=generator)

    return make
