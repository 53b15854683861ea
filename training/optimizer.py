"""AdamW and its learning rate."""

import math

import torch
from torch import nn

from mmpt.training.settings import OptimSettings


def make_optimizer(model: nn.Module, settings: OptimSettings) -> torch.optim.AdamW:
    """Return AdamW; biases, norms and other vectors get no weight decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, fused=True)


def restore_optimizer(optimizer: torch.optim.AdamW, state: dict) -> None:
    """Take over the state of a checkpoint, also of an older one whose steps were not fused."""
    groups = [{**group, "fused": True} for group in state["param_groups"]]
    optimizer.load_state_dict({**state, "param_groups": groups})


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, settings: OptimSettings) -> None:
    """Set the learning rate of an update; `step` counts from 0."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, settings)


def learning_rate(step: int, settings: OptimSettings) -> float:
    """Return the learning rate of an update; `step` counts from 0.

    A linear warm-up, then a cosine to zero or the inverse square root of the step (Vaswani et al. 2017).
    """
    warmup = settings.warmup_steps
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    if settings.schedule == "inverse_sqrt":
        return settings.lr * math.sqrt(max(warmup, 1) / (step + 1))
    progress = (step - warmup) / max(settings.steps - warmup, 1)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
