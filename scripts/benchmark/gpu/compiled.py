"""Are the results of compiled training right: a pass of the encoder as in training in bfloat16, without dropout."""

import copy
import dataclasses

import torch

from mmpt.scripts.benchmark.gpu.agreement import difference, gradients_of, last_states, noise, states_and_gradients
from mmpt.scripts.benchmark.gpu.check import Check
from mmpt.scripts.benchmark.gpu.record import Figures
from mmpt.training.half_weights import HalfWeights
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig


def measure(part: str, check: Check) -> Figures:
    """Return relative differences of states and gradients from the CPU's in float32, uncompiled and compiled."""
    torch.manual_seed(18)
    config = dataclasses.replace(EncoderConfig.preset(check.preset), dropout=0.0)
    wavs, encoder = noise(check), Encoder(config).train()
    reference = states_and_gradients(copy.deepcopy(encoder), wavs)
    figures: Figures = {}
    for name in ("uncompiled", "compiled") if check.compiles else ("uncompiled",):
        placed = copy.deepcopy(encoder).to(check.device)
        if name == "compiled":
            placed.compile_blocks()
        weights = list(placed.parameters())
        halves = HalfWeights(placed, torch.bfloat16 if check.device.type == "cuda" else None)
        with halves.used(), torch.autocast(check.device.type, torch.bfloat16):
            states = last_states(placed, [wav.to(check.device) for wav in wavs])
            states.square().sum().backward()
        gradients = gradients_of(weights)
        figures[name] = {
            "states_against_cpu": difference([states.detach().cpu()], [reference[0]]),
            "gradients_against_cpu": difference(gradients, reference[1]),
        }
    return figures
