"""Are the results right: states and gradients alone and in a batch, kernels of attention, and dropout in them."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from mmpt.scripts.benchmark.gpu.attention_dropout import dropped_weights
from mmpt.scripts.benchmark.gpu.check import Check
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, attention
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.mmpt_av.packing import Packing, Places
from mmpt.upstream.mmpt_av.precision import computing_in

LENGTHS_S = (10.0, 7.3, 3.1, 0.5, 0.04)
STATES = (250, 183, 78, 13, 1)
CPU = torch.device("cpu")


def measure(part: str, check: Check) -> Figures:
    """Return relative differences, ‖a - b‖ / ‖b‖, or dropout's shares."""
    torch.manual_seed(18)
    if part == "attention":
        return attention_ways(check)
    if part == "dropout":
        return dropped_weights(check)
    return encoder_states(check, part)


def encoder_states(check: Check, part: str) -> Figures:
    """Compare the encoder's states and gradients on the device with themselves alone, and with the CPU's in float32."""
    wavs = noise(check)
    encoder = Encoder(EncoderConfig.preset(check.preset)).eval()
    reference = states_and_gradients(encoder, wavs)
    placed, there = copy.deepcopy(encoder).to(check.device), [wav.to(check.device) for wav in wavs]
    with computing_in(part, check.device):
        batch = states_and_gradients(placed, there)
        alone = [states_and_gradients(placed, [wav]) for wav in there]
    states = torch.cat([states for states, _ in alone])
    gradients = [sum(each) for each in zip(*(gradients for _, gradients in alone))]
    return {
        "states_in_a_batch_against_alone": difference([batch[0]], [states]),
        "gradients_in_a_batch_against_alone": difference(batch[1], gradients),
        "states_against_cpu": difference([batch[0]], [reference[0]]),
        "gradients_against_cpu": difference(batch[1], reference[1]),
        "largest_change_of_a_state_against_alone": (batch[0] - states).abs().max().item(),
        "largest_change_of_a_state_against_cpu": (batch[0] - reference[0]).abs().max().item(),
    }


def noise(check: Check) -> list[Tensor]:
    """Return waveforms (samples,) of noise."""
    lengths = [length / 10 for length in LENGTHS_S[:3]] if check.small else LENGTHS_S
    return [0.1 * torch.randn(max(1, int(SAMPLE_RATE * length))) for length in lengths]


def states_and_gradients(encoder: Encoder, wavs: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return the last states (total, C), and the gradients of the sum of their squares, in float32 on the CPU."""
    encoder.zero_grad(set_to_none=True)
    states = last_states(encoder, wavs)
    states.square().sum().backward()
    return states.detach().cpu(), gradients_of(list(encoder.parameters()))


def last_states(encoder: Encoder, wavs: list[Tensor]) -> Tensor:
    """Return the last states (total, C) in float32."""
    output = encoder(wavs)
    return torch.cat([states[:n] for states, n in zip(output.hidden_states[-1].float(), output.lengths.tolist())])


def gradients_of(weights: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients of weights, in float32 on the CPU."""
    return [weight.grad.float().cpu() for weight in weights if weight.grad is not None]


def attention_ways(check: Check) -> Figures:
    """Compare each way of attention on the device with one call an utterance in float64 on the CPU."""
    heads, width = (2, 8) if check.small else (4, 64)
    packing = Packing([n // 10 + 1 for n in STATES] if check.small else list(STATES))
    qkv = torch.randn(packing.total, 3, heads, width)
    expected = output_and_gradient(attention.one_by_one, qkv.double(), packing.places())
    placed, half = packing.to(check.device).places(), qkv.to(check.device, torch.bfloat16)
    cases = {
        "padded_float32": (attention.padded, qkv.to(check.device)),
        "one_by_one_float32": (attention.one_by_one, qkv.to(check.device)),
        "padded_bfloat16": (attention.padded, half),
        "one_by_one_bfloat16": (attention.one_by_one, half),
    }
    if check.device.type == "cuda":
        cases["packed_bfloat16"] = (attention.packed, half)
    figures: Figures = {"chosen_for_bfloat16": attention.choose_way(half, placed).__name__}
    for name, (way, given) in cases.items():
        output, gradient = output_and_gradient(way, given, placed)
        figures[name] = {
            "output": difference([output], [expected[0]]),
            "gradient": difference([gradient], [expected[1]]),
        }
    return figures


def output_and_gradient(way: attention.Way, qkv: Tensor, places: Places) -> tuple[Tensor, Tensor]:
    """Return a way's output without dropout, and the gradient of the sum of its squares."""
    qkv = qkv.clone().requires_grad_()
    output = way(qkv, places, 0.0)
    output.double().square().sum().backward()
    assert qkv.grad is not None
    return output.detach().double().cpu(), qkv.grad.double().cpu()


def difference(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """Return ‖ours - theirs‖ / ‖theirs‖ over several tensors."""
    squares = sum((a.double() - b.double()).square().sum() for a, b in zip(ours, theirs, strict=True))
    norm = sum(b.double().square().sum() for b in theirs)
    return (torch.as_tensor(squares) / torch.as_tensor(norm)).sqrt().item()
