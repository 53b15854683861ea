"""Feed-forward layers compiled by torch: the same states and gradients, from one compilation for all lengths."""

import copy

import pytest
import torch

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

SIZES = {"conv_channels": 8, "d_model": 8, "n_layers": 1, "n_heads": 2, "ffn_dim": 16, "depthwise_kernel": 3}


@pytest.mark.slow
def test_compiled_feed_forwards_compute_the_same(monkeypatch):
    monkeypatch.setattr(torch._inductor.config, "compile_threads", 1)  # no processes that wait for work
    torch.manual_seed(0)
    plain = Encoder(EncoderConfig(**SIZES, dropout=0.0))
    compiled = copy.deepcopy(plain)
    compiled.compile_feed_forwards()
    torch._dynamo.reset()
    for lengths in ((8000, 5000), (9000, 3000, 700)):
        wavs = [0.1 * torch.randn(n) for n in lengths]
        ours, theirs = compiled(wavs).hidden_states[-1], plain(wavs).hidden_states[-1]
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
        ours.square().sum().backward()
        theirs.square().sum().backward()
    for (name, mine), other in zip(compiled.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(
            mine.grad, other.grad, atol=1e-3, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
