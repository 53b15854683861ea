"""Operations are counted, whichever way a linear layer is computed."""

import pytest
import torch
from torch import nn

from mmpt.upstream.mmpt_av.linear import linear
from mmpt.upstream.operations import operation_counter


@pytest.mark.parametrize("rows", [3, 4000])  # PyTorch's own product, and oneDNN's if available
@pytest.mark.parametrize("grad", [False, True])
def test_a_linear_layer_has_two_operations_a_weight_and_row(rows, grad):
    x, weight = torch.randn(rows, 64, requires_grad=grad), torch.randn(32, 64, requires_grad=grad)
    with operation_counter() as counter:
        out = linear(x, weight)
        if grad:
            out.sum().backward()
    assert counter.get_total_flops() == (3 if grad else 1) * 2 * rows * 64 * 32


@pytest.mark.parametrize("layer, gates", [(nn.LSTM, 4), (nn.GRU, 3)])
def test_a_recurrent_layer_has_two_operations_a_weight_and_step(layer, gates):
    with operation_counter() as counter, torch.no_grad():
        layer(8, 16, num_layers=2, bidirectional=True)(torch.randn(10, 3, 8))
    weights = 2 * (8 * 16 + 16 * 16) + 2 * (32 * 16 + 16 * 16)  # of both directions: first layer, second layer
    assert counter.get_total_flops() == 2 * 10 * 3 * gates * weights
