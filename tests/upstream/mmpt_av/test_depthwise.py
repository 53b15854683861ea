"""Depthwise convolution on a processor, compared with PyTorch's own."""

import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

from mmpt.upstream.mmpt_av import depthwise as module
from mmpt.upstream.mmpt_av.depthwise import BLOCK, depthwise, depthwise_inside
from mmpt.upstream.mmpt_av.onednn import has_convolutions_for
from mmpt.upstream.mmpt_av.packing import Packing

from helpers.no_waiting import HAS_FAKE_GPU, backward, fake_gpu


def both(shape: tuple[int, int, int], taps: int, dtype: torch.dtype) -> list[list[torch.Tensor]]:
    """Return result, gradient of the input and of the weight: ours, then PyTorch's in double precision."""
    torch.manual_seed(sum(shape) + taps)
    x, weight, seed = torch.randn(shape), torch.randn(shape[-1], 1, taps), torch.randn(shape)
    found = []
    for kind in (dtype, torch.float64):
        x, weight = x.to(dtype).to(kind).detach().requires_grad_(), weight.to(dtype).to(kind).detach().requires_grad_()
        y = depthwise(x, weight) if kind is dtype else F.conv1d(x.mT, weight, padding=taps // 2, groups=shape[-1]).mT
        y.backward(seed.to(dtype).to(kind))
        found.append([y, x.grad, weight.grad])
    return found


@pytest.mark.parametrize("taps", [1, 5, 31])
@pytest.mark.parametrize("length", [1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
@pytest.mark.parametrize("batch, channels", [(1, 96), (3, 20)])
def test_result_and_gradients_are_torchs(batch, channels, length, taps):
    for ours, theirs in zip(*both((batch, length, channels), taps, torch.float32)):
        assert ours.shape == theirs.shape and ours.dtype is torch.float32
        assert (ours - theirs).abs().max() <= 1e-6 * max(1, theirs.abs().max()) * max(1, length) ** 0.5


def test_half_precision_stays_near_torchs():
    for ours, theirs in zip(*both((2, 200, 32), 31, torch.bfloat16)):
        assert ours.dtype is torch.bfloat16
        assert (ours - theirs).norm() <= 1e-2 * theirs.norm()


@pytest.mark.skipif(not has_convolutions_for(torch.empty(1)), reason="oneDNN computes no convolutions here")
def test_half_precision_is_convolved_in_float32(monkeypatch):
    """The bfloat16 kernel of oneDNN does not return for some lengths and numbers of threads."""
    convolved, conv2d = [], F.conv2d

    def spy(image, weight, **options):
        convolved.append((image.dtype, weight.dtype, torch.is_autocast_enabled("cpu")))
        return conv2d(image, weight, **options)

    monkeypatch.setattr(F, "conv2d", spy)
    x = torch.randn(1, 48, 32, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = depthwise(x, torch.randn(32, 1, 31, requires_grad=True))
    out.sum().backward()
    assert out.dtype is x.grad.dtype is torch.bfloat16
    assert convolved == [(torch.float32, torch.float32, False)] * 3  # forward, and both gradients


def test_without_onednn_torch_computes_it(monkeypatch):
    x, weight = torch.randn(2, 99, 12), torch.randn(12, 1, 5)
    ours = depthwise(x, weight)
    monkeypatch.setattr(module, "has_convolutions_for", lambda x: False)
    assert torch.allclose(depthwise(x, weight), ours, atol=1e-5)
    assert depthwise(x.double(), weight.double()).dtype is torch.float64


def test_a_frozen_weight_or_input_gets_no_gradient():
    x, weight = torch.randn(1, 70, 4, requires_grad=True), torch.randn(4, 1, 5)
    depthwise(x, weight).sum().backward()
    assert x.grad is not None and weight.grad is None
    weight.requires_grad_()
    depthwise(x.detach(), weight).sum().backward()
    assert weight.grad is not None


def test_double_backward_is_refused():
    x = torch.randn(1, 9, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(
        depthwise(x, torch.randn(4, 1, 5, requires_grad=True)).square().sum(), x, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


IN_TRITON = """
import torch
from torch.nn import functional as F
from mmpt.upstream.mmpt_av import depthwise_triton
from mmpt.upstream.mmpt_av.packing import Packing

for lengths, channels, taps in [([1], 8, 3), ([5, 1, 40, 17], 40, 7), ([70, 130], 33, 31)]:
    torch.manual_seed(0)
    packing = Packing(lengths)
    x, seed = torch.randn(packing.total, channels, requires_grad=True), torch.randn(packing.total, channels)
    weight = torch.randn(channels, 1, taps, requires_grad=True)
    found = []
    ours = depthwise_triton.depthwise(x, weight, packing.owners().int())
    theirs = [F.conv1d(one.T[None], weight, padding=taps // 2, groups=channels)[0].T for one in packing.split(x)]
    for y in (ours, torch.cat(theirs)):
        found.append([y, *torch.autograd.grad((y * seed).sum(), (x, weight))])
    for mine, other in zip(*found):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)
print("equal")
"""


@pytest.mark.slow
def test_triton_kernels_compute_the_same():
    """Triton can interpret its kernels on a processor, if told so before they are defined."""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    # -B: an interpreter of its own, not a fork of one that has Triton loaded
    done = subprocess.run([sys.executable, "-B", "-c", IN_TRITON], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "equal", done.stderr


@pytest.mark.skipif(not HAS_FAKE_GPU, reason="torch 2.8 needs a GPU's driver for this")
def test_the_gpus_kernels_fit_the_compiler():
    """Shapes and gradients of the operator on tensors that only pretend to be on a GPU."""
    pytest.importorskip("triton")
    with fake_gpu():
        x = torch.empty(12, 8, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        weight = torch.empty(8, 1, 3, device="cuda", requires_grad=True)
        places = Packing([5, 7]).to("cuda").places()
        y = depthwise_inside(x, weight, places)
        backward(y.sum())
    assert y.shape == x.shape and y.dtype is torch.bfloat16
    assert x.grad.dtype is torch.bfloat16 and weight.grad.shape == weight.shape and weight.grad.dtype is torch.float32


@pytest.mark.parametrize(
    "capability, compiler, headers, expected",
    [
        ((9, 0), "/usr/bin/gcc", True, True),
        ((6, 1), "/usr/bin/gcc", True, False),
        ((9, 0), None, True, False),
        ((9, 0), "/usr/bin/gcc", False, False),
    ],
)
def test_without_a_compiler_or_on_an_old_gpu_torch_computes_it(
    capability, compiler, headers, expected, monkeypatch, tmp_path
):
    if headers:
        (tmp_path / "Python.h").touch()
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    monkeypatch.setattr(module.shutil, "which", lambda name: compiler)
    monkeypatch.setattr(module.sysconfig, "get_path", lambda name, scheme: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert module.has_triton.__wrapped__() is expected
