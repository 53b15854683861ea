"""Heads get the same values and gradients as with PyTorch's padding and S3PRL's pooling, bit for bit, and sooner."""

import pytest
import torch
from torch.nn.utils import rnn

from mmpt.upstream.s3prl_runner import repairs, row_gradients

TORCH = row_gradients.torch_pad_sequence
LENGTHS = (7, 3, 9, 1)


def rows_of(batch: torch.Tensor) -> list[torch.Tensor]:
    """Return what S3PRL's featurizer gives to a head (s3prl/upstream/interfaces.py:265)."""
    return [row[:length] for row, length in zip(batch, LENGTHS)]


def batch_of(seed: int = 0) -> torch.Tensor:
    return torch.randn(4, 9, 5, generator=torch.Generator().manual_seed(seed), requires_grad=True)


def outcome(pad, **options):
    """Return the padded rows, and the gradient that reaches the batch they came from."""
    batch = batch_of()
    padded = pad(rows_of(batch), **options)
    (padded * torch.arange(padded.numel()).view(padded.shape)).sum().backward()
    return padded, batch.grad


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_first": True},
        {"batch_first": True, "padding_value": -2.5},
        {"batch_first": True, "padding_side": "left"},
    ],
)
def test_padding_and_its_gradient_are_pytorchs(options):
    for ours, torchs in zip(outcome(row_gradients.pad_sequence, **options), outcome(TORCH, **options), strict=True):
        assert torch.equal(ours, torchs)


def test_a_row_without_a_gradient_is_padded_among_rows_with_one():
    with_gradient, without = batch_of(0), batch_of(1).detach()
    row_gradients.pad_sequence([with_gradient[0], without[1, :4]], batch_first=True).sum().backward()
    assert torch.equal(with_gradient.grad[0], torch.ones(9, 5)) and not with_gradient.grad[1:].any()


def test_labels_are_padded_as_before():
    labels = [torch.tensor([1, 2]), torch.tensor([3])]
    assert row_gradients.pad_sequence(labels, True, -100).tolist() == [[1, 2], [3, -100]]


def test_mean_pooling_and_its_gradient_are_s3prls():
    repairs.apply()
    from s3prl.downstream.model import MeanPooling

    row_gradients.install()
    ours, s3prls = batch_of(), batch_of()
    pooled, _ = MeanPooling.forward(None, ours, LENGTHS)
    original, _ = MeanPooling.forward.__wrapped__(None, s3prls, LENGTHS)
    for result in (pooled, original):
        (result * torch.arange(result.numel()).view(result.shape)).sum().backward()
    assert torch.equal(pooled, original) and torch.equal(ours.grad, s3prls.grad)


@pytest.mark.parametrize("name", ["speech_commands", "fluent_commands", "ctc", "asr", "diarization"])
def test_the_heads_of_all_tasks_get_it(name):
    """Those that were imported before, as in the server of jobs, and those that are imported later."""
    repairs.apply()
    module = pytest.importorskip(f"s3prl.downstream.{name}.expert")
    row_gradients.install()
    row_gradients.install()
    assert module.pad_sequence is rnn.pad_sequence is row_gradients.pad_sequence


def test_a_gradient_writes_each_row_once():
    """PyTorch's copies the whole batch for every row."""
    written = {}
    for name, pad in (("ours", row_gradients.pad_sequence), ("torch", TORCH)):
        rows = [torch.randn(50, 8, requires_grad=True) for _ in range(16)]
        total = pad(rows, batch_first=True).sum()
        with torch.profiler.profile(profile_memory=True) as profiler:
            total.backward()
        written[name] = sum(max(0, event.self_cpu_memory_usage) for event in profiler.events())
    assert written["torch"] > 5 * written["ours"]
