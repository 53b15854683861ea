"""Contrastive learning with an update in parts: all its clips are negatives, though one part is in memory at a time.

The method is GradCache (Gao et al. 2021), in open_clip `--accum-freq`. All parts are embedded first. The loss over all
clips then gives the gradient of each embedding. With it, each part is embedded again and differentiated by itself.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from mmpt.pretrain.contrastive import InfoNCE
from mmpt.training.distributed import Counts
from mmpt.training.resuming import random_state, restore_random_state

Part = TypeVar("Part")


@dataclass(frozen=True)
class PartOfContrast:
    """What the contrastive loss of a whole update means for one of its parts."""

    loss: Tensor  # this part's share of the loss, a scalar
    audio: Tensor  # (B, C) gradient with respect to the part's embeddings of sounds
    video: Tensor  # and of pictures
    log_scale: Tensor  # this part's share of the gradient with respect to InfoNCE.log_scale
    random: dict  # the random state before the part was embedded

    def with_gradients(self, audio: Tensor, video: Tensor, contrast: InfoNCE) -> Tensor:
        """Return this part's share of the loss, connected to embeddings (B, C) that were computed again."""
        # Each part gives the temperature a share: DDP waits for the gradient of every parameter in the last one.
        linear = (audio * self.audio).sum() + (video * self.video).sum() + contrast.log_scale * self.log_scale
        return self.loss + (linear - linear.detach())

    @contextmanager
    def same_draws(self) -> Iterator[None]:
        """Draw what was drawn when the part was first embedded: dropout then drops the same."""
        device = self.audio.device
        state = random_state(device)
        restore_random_state(self.random, device)
        try:
            yield
        finally:
            restore_random_state(state, device)


def contrast_parts(
    parts: Iterable[Part], embed: Callable[[Part], tuple[Tensor, Tensor]], contrast: InfoNCE, counts: Counts
) -> list[PartOfContrast]:
    """Return what each part of an update must know of all parts and ranks.

    Args:
        parts: this rank's micro-batches.
        embed: returns a part's embeddings (B, C) of sounds and of pictures.
        contrast: the objective.
        counts: of the update, with `clips`.
    """
    states, sounds, pictures = [], [], []
    for part in parts:
        states.append(random_state(contrast.log_scale.device))
        # With gradients, though they are not used: compiled blocks have other code without, and could draw otherwise.
        audio, video = embed(part)
        sounds.append(audio.detach())
        pictures.append(video.detach())
    audio, video = torch.cat(sounds).requires_grad_(), torch.cat(pictures).requires_grad_()
    loss = contrast(audio, video, counts)
    learned = [contrast.log_scale] if contrast.log_scale.requires_grad else []
    for_audio, for_video, *for_scale = torch.autograd.grad(loss, [audio, video, *learned])
    sizes = [len(one) for one in sounds]
    share = for_scale[0] / len(sizes) if for_scale else loss.new_zeros(())
    return [
        PartOfContrast(loss.detach() / len(sizes), of_sounds, of_pictures, share, state)
        for of_sounds, of_pictures, state in zip(for_audio.split(sizes), for_video.split(sizes), states)
    ]
