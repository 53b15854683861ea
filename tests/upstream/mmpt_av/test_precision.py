"""The precision that an encoder computes in."""

import torch

from mmpt.upstream.mmpt_av.precision import computing_in

CPU = torch.device("cpu")


def test_bfloat16_is_that_of_autocast():
    x = torch.randn(3, 3)
    with computing_in("bfloat16", CPU):
        assert (x @ x).dtype == torch.bfloat16
    with computing_in("float32", CPU):
        assert (x @ x).dtype == torch.float32


def test_float32_is_not_rounded_to_tf32_inside_alone():
    before = torch.backends.cudnn.allow_tf32
    with computing_in("float32", CPU):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before
