"""Random masks of the masked objective (MAE, He et al. 2022): what is encoded, and what is to be reconstructed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from mmpt.pretrain.settings import MaskedSettings
from mmpt.training.draws import named_generator
from mmpt.upstream.mmpt_av.config import state_count
from mmpt.upstream.mmpt_av.layout import speech_frames
from mmpt.upstream.mmpt_av.packing import Packing

FRAMES_A_TOKEN = 4  # filterbank frames under one audio token, a state of the audio encoder


@dataclass
class Masks:
    """The masks of a batch, as indices. They are drawn along with the data, so that no GPU waits for them.

    An audio token is counted in the packed batch (clip after clip, see Packing), or as a cell of the padded batch
    (clip * longest + token).
    """

    audio: Packing  # of all tokens of sound
    encoded: Packing  # of those that are encoded
    audio_seen: Tensor  # packed ids of the encoded tokens
    audio_seen_cells: Tensor  # cells of the same tokens
    audio_hidden: Tensor  # packed ids of the masked tokens
    audio_wanted: Tensor  # (W,) ids of the frames to reconstruct in the padded batch, clip * 4 * longest + frame
    audio_targets: Tensor  # (W,) packed ids of the same frames
    video_seen: Tensor  # (B, K) ids of the encoded tubelets
    video_hidden: Tensor  # (B, M) ids of the masked tubelets
    video_wanted: int  # number of tubelets to reconstruct

    def prepare(self) -> "Masks":
        """Make the index tensors that the model will ask for, and return the masks."""
        self.encoded.places()
        if not self.audio.dense:
            self.audio.visible()
        return self

    def to(self, device: torch.device) -> "Masks":
        """Return the masks on a device; pinned masks are copied in the background."""
        return self.map(lambda v: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v.to(device))

    def pin_memory(self) -> "Masks":
        """Return the masks in pinned memory."""
        return self.map(lambda v: v.pin_memory())

    def map(self, change: Callable[[Any], Any]) -> "Masks":
        """Return the masks with `change` applied to each tensor and packing."""
        changed: dict[str, Any] = {
            name: change(v) for name, v in vars(self).items() if isinstance(v, (Tensor, Packing))
        }
        return replace(self, **changed)


def draw_masks(
    settings: MaskedSettings, seed: int, epoch: int | None, ids: list[str], samples: list[int], video_tokens: int
) -> Masks:
    """Draw random masks without replacement.

    Args:
        settings: shares of masked tokens, and what the loss is on.
        seed: of the run.
        epoch: None for validation.
        ids: names of the batch's clips.
        samples: of each clip's sound.
        video_tokens: tubelets of a clip.
    """
    lengths = [state_count(n) for n in samples]
    longest, starts = max(lengths), [0, *accumulate(lengths)]
    seen, hidden, cells, wanted, targets = [], [], [], [], []
    for number, (clip_id, tokens) in enumerate(zip(ids, lengths)):
        order = draw_order(seed, epoch, clip_id, "audio", tokens)
        kept = kept_tokens(tokens, settings.audio_share)
        masked = order[kept:].sort().values
        encoded = order[:kept].sort().values if settings.audio_mask == "drop" else torch.arange(tokens)
        seen.append(starts[number] + encoded)
        hidden.append(starts[number] + masked)
        cells.append(number * longest + encoded)
        frames = wanted_frames(masked if settings.loss_on == "masked" else torch.arange(tokens), samples[number])
        wanted.append(number * FRAMES_A_TOKEN * longest + frames)
        targets.append(starts[number] * FRAMES_A_TOKEN + frames)
    orders = torch.stack([draw_order(seed, epoch, clip_id, "video", video_tokens) for clip_id in ids])
    kept = kept_tokens(video_tokens, settings.video_share)
    return Masks(
        audio=Packing(lengths),
        encoded=Packing([len(one) for one in seen]),
        audio_seen=torch.cat(seen),
        audio_seen_cells=torch.cat(cells),
        audio_hidden=torch.cat(hidden),
        audio_wanted=torch.cat(wanted),
        audio_targets=torch.cat(targets),
        video_seen=orders[:, :kept].sort(1).values,
        video_hidden=orders[:, kept:].sort(1).values,
        video_wanted=len(ids) * (video_tokens if settings.loss_on == "all" else video_tokens - kept),
    )


def draw_order(seed: int, epoch: int | None, clip_id: str, what: str, tokens: int) -> Tensor:
    """Return a random order (tokens,) of a clip's tokens, which depends on the arguments alone."""
    return torch.rand(tokens, generator=named_generator(seed, epoch, clip_id, what)).argsort()


def kept_tokens(tokens: int, share: float) -> int:
    """Return how many tokens stay if a share is masked: rounded down as in MAE, at least one."""
    return max(1, int(tokens * (1 - share) + 1e-9))


def wanted_frames(tokens: Tensor, samples: int) -> Tensor:
    """Return the filterbank frames under some of a clip's tokens, without those that only pad the last token."""
    frames = frames_of(tokens)
    return frames[frames < speech_frames(samples)]


def frames_of(tokens: Tensor) -> Tensor:
    """Return the filterbank frames under tokens (N,), as ids (4 * N,)."""
    return (tokens[:, None] * FRAMES_A_TOKEN + torch.arange(FRAMES_A_TOKEN, device=tokens.device)).flatten()
