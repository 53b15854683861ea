"""Batches of clips."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mmpt.pretrain.jpeg_pictures import JpegBatch, JpegPictures
from mmpt.upstream.mmpt_av.layout import Layout


class ClipItem(NamedTuple):
    """A clip as drawn for an epoch (None: for validation).

    Attributes:
        wav: (samples,).
        video: (frames, size, size, 3) uint8; or (times, pixels) float32 (see mean_tubelets); or not decoded yet.
    """

    id: str
    epoch: int | None
    wav: Tensor
    video: Tensor | JpegPictures
    group: str


@dataclass(frozen=True)
class SkippedClip:
    """A clip that could not be read, and the reason."""

    id: str
    reason: str
    epoch: int | None = None


@dataclass
class ClipBatch:
    """The readable clips of a batch of one epoch (None: of validation), and those that were skipped.

    Attributes:
        joined: all waveforms as one (see Layout.join), float32, which is pinned and copied at once.
        layout: where each waveform lies in it.
        video: (B, 3, frames, size, size) uint8; in memory the colours of a pixel lie together (channels last). Or the
            means of tubelets over space, (B, times, pixels) float32 (see mean_tubelets).
        jpegs: pictures that are not decoded yet; `video` is empty then.
    """

    ids: list[str]
    epoch: int | None
    joined: Tensor
    layout: Layout
    video: Tensor
    groups: list[str]
    skipped: list[SkippedClip]
    jpegs: JpegBatch | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def wavs(self) -> list[Tensor]:
        """The waveforms (samples,), as views."""
        return self.layout.split(self.joined)

    def pin_memory(self) -> "ClipBatch":
        """Pin this batch's memory and return it; DataLoader calls this."""
        self.joined, self.video = self.joined.pin_memory(), self.video.pin_memory()
        self.layout = self.layout.pin_memory()
        return self

    def to(self, device: torch.device | str) -> "ClipBatch":
        """Return the batch on a device; a pinned batch is copied in the background."""
        joined, video = (tensor.to(device, non_blocking=True) for tensor in (self.joined, self.video))
        return dataclasses.replace(self, joined=joined, layout=self.layout.to(device), video=video)


def stack_video(items: Sequence[ClipItem | SkippedClip]) -> Tensor:
    """Return the pictures of clips, or their means, as a batch has them; (0, 3, 0, 0, 0) if none is decoded."""
    decoded = [item.video for item in items if isinstance(item, ClipItem) and isinstance(item.video, Tensor)]
    video = torch.stack(decoded) if decoded else torch.zeros(0, 0, 0, 0, 3, dtype=torch.uint8)
    return video.permute(0, 4, 1, 2, 3) if video.dim() == 5 else video


def collate(items: list[ClipItem | SkippedClip]) -> ClipBatch:
    """Return a batch of what could be read; if nothing could, its video is (0, 3, 0, 0, 0)."""
    good = [item for item in items if isinstance(item, ClipItem)]
    files = [item.video for item in good if isinstance(item.video, JpegPictures)]
    layout = Layout([len(item.wav) for item in good])
    return ClipBatch(
        ids=[item.id for item in good],
        epoch=items[0].epoch if items else None,
        joined=layout.join([item.wav for item in good]) if good else torch.zeros(0),
        layout=layout,
        video=stack_video(good),
        groups=[item.group for item in good],
        skipped=[item for item in items if isinstance(item, SkippedClip)],
        jpegs=JpegBatch.join(files) if files else None,
    )
