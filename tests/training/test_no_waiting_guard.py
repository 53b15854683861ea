"""The guard that finds where the processor waits for a GPU: what it stops, what it lets through, on a fake GPU."""

import pytest
import torch
from torch import nn

from helpers.no_waiting import NoWaiting, Waits, backward, fake_gpu, to_fake_gpu

WAITING = {
    "item": lambda x, ids: x.sum().item(),
    "bool": lambda x, ids: bool(x.isfinite().all()),
    "float": lambda x, ids: float(x.sum()),
    "tolist": lambda x, ids: ids.tolist(),
    "equal": lambda x, ids: torch.equal(x, x),
    "nonzero": lambda x, ids: x.nonzero(),
    "pick by mask": lambda x, ids: x[x > 0],
    "put by mask": lambda x, ids: x.index_put_((x > 0,), torch.ones(2, device="cuda")),
    "masked_select": lambda x, ids: x.masked_select(x > 0),
    "unique": lambda x, ids: ids.unique(),
    "repeats": lambda x, ids: x.repeat_interleave(ids, 0),
    "new tensor": lambda x, ids: torch.tensor([1, 2], device="cuda"),
    "new scalar": lambda x, ids: torch.tensor(1.0, device="cuda"),
    "list of ids": lambda x, ids: x[[0, 1]],
    "ids on the processor": lambda x, ids: x[torch.zeros(2, dtype=torch.long)],
    "copy to the GPU": lambda x, ids: torch.zeros(3).to("cuda", non_blocking=True),
    "copy in place": lambda x, ids: x.copy_(torch.zeros(3)),
    "copy of a scalar": lambda x, ids: x[0, 0].copy_(torch.zeros(())),
    "copy to the processor": lambda x, ids: x.cpu(),
    "copy out in place": lambda x, ids: torch.zeros(4, 3).copy_(x, non_blocking=True),
}
RUNNING = {
    "arithmetic": lambda x, ids: (x @ x.T).softmax(-1) * 2 + 1,
    "scalar of the processor": lambda x, ids: x * torch.tensor(2.0),
    "fill": lambda x, ids: torch.full((2,), 3.0, device="cuda"),
    "fill by mask": lambda x, ids: x.masked_fill_(x > 0, 0.0),
    "put one value by mask": lambda x, ids: x.__setitem__(x > 0, 0.0),
    "pick by ids": lambda x, ids: x[ids],
    "pick by ids and slice": lambda x, ids: x[ids, 1:],
    "repeats of known sum": lambda x, ids: x.repeat_interleave(ids, 0, output_size=6),
    "other dtype": lambda x, ids: x.to(torch.bfloat16).to(x.device),
    "on the processor": lambda x, ids: torch.ones(3)[torch.tensor([0, 1])] * torch.tensor([1.0, 2.0]),
}


@pytest.mark.parametrize("name", WAITING)
def test_waiting_is_an_error(name):
    with fake_gpu():
        x, ids = torch.randn(4, 3, device="cuda"), torch.arange(4, device="cuda")
        with pytest.raises(Waits), NoWaiting():
            WAITING[name](x, ids)


@pytest.mark.parametrize("name", RUNNING)
def test_what_a_gpu_runs_alone_is_none(name):
    with fake_gpu():
        x, ids = torch.randn(4, 3, device="cuda"), torch.arange(4, device="cuda")
        with NoWaiting():
            RUNNING[name](x, ids)


def test_waiting_in_a_backward_pass_is_an_error():
    class Reads(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return 2 * x

        @staticmethod
        def backward(context, gradient):
            return gradient * gradient.sum().item()

    with fake_gpu():
        x = torch.randn(3, device="cuda", requires_grad=True)
        with NoWaiting():
            loss = Reads.apply(x).sum()
            with pytest.raises(Waits, match="_local_scalar_dense"):
                backward(loss)


def test_autocast_on_a_fake_gpu():
    model = nn.Linear(3, 2)
    for bfloat16, dtype in ((False, torch.float32), (True, torch.bfloat16)):
        with fake_gpu(bfloat16) as mode:
            fake = to_fake_gpu(model, mode)
            assert fake(torch.randn(4, 3, device="cuda")).dtype == dtype
            assert fake.weight.device.type == "cuda" and fake.weight.dtype == torch.float32
    assert model.weight.device.type == "cpu" and not torch.is_autocast_enabled("cuda")


def test_gradients_are_those_of_pytorch():
    """On the processor, where tensors have values: sums of branches, broadcasting, dtypes, and a split in between."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 4)).double()
    scale = nn.Parameter(torch.tensor(2.0, dtype=torch.double))

    def loss():
        x = model(torch.linspace(-1, 1, 20, dtype=torch.double).view(5, 4))
        first, _, last = (x * scale).split([1, 2, 2])
        return (first.exp().float().sum() + (last * x[:2]).sum()).square()

    weights = [*model.parameters(), scale]
    expected = torch.autograd.grad(loss(), weights)
    backward(loss())
    for weight, gradient in zip(weights, expected):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-12, atol=1e-12)
