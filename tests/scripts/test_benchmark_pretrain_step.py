"""The benchmark of stage 1's steps runs, on a model that is too small to mean anything."""

import re

import pytest
import torch

from mmpt.scripts.benchmark import pretrain_step
from mmpt.upstream.repository import REPOSITORY

SMALL = ["device=cpu", "video.size=32", "video.frames=4", "video.n_layers=1", "video.d_model=48"]


@pytest.mark.slow
def test_objectives_and_dropped_tokens_are_measured(capsys):
    config, threads = REPOSITORY / "pretrain" / "configs" / "samples.yaml", torch.get_num_threads()
    try:
        assert pretrain_step.main(["--config", str(config), "--steps", "1", "--threads", "1", "--ragged", *SMALL]) == 0
    finally:
        torch.set_num_threads(threads)
    told = capsys.readouterr().out
    assert re.search(r"^MAE, 2 clips a step on cpu: dropped tokens [0-9.]+ clips/s .* all tokens ", told, re.MULTILINE)
    for objective in ("clr", "mae", r"mae\+clr"):
        assert re.search(rf"^{objective}: [0-9.]+ clips/s .* % of ", told, re.MULTILINE)
