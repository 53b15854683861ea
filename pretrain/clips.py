"""Clips as training wants them: a waveform and 16 pictures, cropped and flipped at random but the same each time asked."""

import dataclasses
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import numpy
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset
from tqdm import tqdm

from mmpt.pretrain.clip_source import open_clip, used_s
from mmpt.pretrain.manifest import Clip
from mmpt.pretrain.shards import ShardClip
from mmpt.training.media import SAME_S, MediaError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE


@dataclass(frozen=True)
class Sampling:
    """How a clip is cut.

    size: side of a picture in pixels. frames, stride: pictures a clip, and every which one is taken.
    crop_min: smallest share that a random crop, a square, keeps of the largest square's area.
    sound: "clip" (all of it, up to 10 s), or "pictures" (the stretch that the pictures cover).
    """

    size: int
    frames: int
    stride: int
    crop_min: float
    sound: str = "clip"


class ClipItem(NamedTuple):
    """A clip as it was cut for an epoch (None: for validation). wav: (samples,). video: (frames, size, size, 3) uint8."""

    id: str
    epoch: int | None
    wav: Tensor
    video: Tensor
    group: str


@dataclass(frozen=True)
class Skipped:
    """A clip that could not be read, and why."""

    id: str
    reason: str
    epoch: int | None = None


@dataclass
class ClipBatch:
    """Clips of one epoch (None: of validation) that could be read, and those that could not.

    samples: (total,) float32, all waveforms one after the other; lengths: of each. One tensor is pinned and sent as one.
    video: (B, 3, frames, size, size) uint8, in memory with the colours of a pixel side by side, as decoders and convolutions have it.
    """

    ids: list[str]
    epoch: int | None
    samples: Tensor
    lengths: list[int]
    video: Tensor
    groups: list[str]
    skipped: list[Skipped]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def wavs(self) -> list[Tensor]:
        """The waveforms (samples,), as views."""
        return list(self.samples.split(self.lengths)) if self.lengths else []

    def pin_memory(self) -> "ClipBatch":
        """This batch in pinned memory; DataLoader calls it."""
        self.samples, self.video = self.samples.pin_memory(), self.video.pin_memory()
        return self

    def to(self, device: torch.device | str) -> "ClipBatch":
        """The batch on a device; the copy goes on in the background if the batch is pinned."""
        samples, video = (tensor.to(device, non_blocking=True) for tensor in (self.samples, self.video))
        return dataclasses.replace(self, samples=samples, video=video)


def collate(items: list[ClipItem | Skipped]) -> ClipBatch:
    """A batch of what could be read; its video is (0, 3, 0, 0, 0) if nothing could."""
    good = [item for item in items if isinstance(item, ClipItem)]
    video = torch.stack([item.video for item in good]) if good else torch.zeros(0, 0, 0, 0, 3, dtype=torch.uint8)
    return ClipBatch(
        ids=[item.id for item in good],
        epoch=items[0].epoch if items else None,
        samples=torch.cat([item.wav for item in good]) if good else torch.zeros(0),
        lengths=[len(item.wav) for item in good],
        video=video.permute(0, 4, 1, 2, 3),
        groups=[item.group for item in good],
        skipped=[item for item in items if isinstance(item, Skipped)],
    )


class Decoded(NamedTuple):
    """What was read of a clip. frames: N of (H, W, 3) uint8, on screen from times (N,) on, in seconds from the clip's start."""

    wav: Tensor
    rate: float
    frames: list[numpy.ndarray]
    times: numpy.ndarray


class ClipDataset(Dataset):
    """Clips in files or shards. An item is asked for by (epoch, index), epoch None meaning validation: centre, no crop, no flip.

    Args:
        memory_gb: decoded clips of this data set are kept in memory up to this size. A corpus that fits is decoded once, not once an epoch.
    """

    def __init__(self, clips: Sequence[Clip | ShardClip], sampling: Sampling, seed: int, memory_gb: float):
        self.clips = clips
        self.sampling = sampling
        self.seed = seed
        self.room_bytes = int(memory_gb * 1e9)  # 0 once a clip did not fit
        self.kept: dict[int, Decoded] = {}
        self.keeping = Lock()

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: tuple[int | None, int]) -> ClipItem | Skipped:
        epoch, index = item
        clip = self.clips[index]
        generator = None
        if epoch is not None:  # by name, not by position: the same draw on any number of workers, and after a resume
            generator = torch.Generator().manual_seed(zlib.crc32(f"{self.seed}/{epoch}/{clip.id}".encode()))
        share = torch.rand(1, generator=generator).item() if generator else 0.5
        try:
            wav, frames = self.read(clip, index, share)
        except MediaError as error:
            return Skipped(clip.id, str(error), epoch)
        return ClipItem(clip.id, epoch, wav, self.crop(frames, generator), clip.group)

    def read(self, clip: Clip | ShardClip, index: int, share: float) -> tuple[Tensor, list[numpy.ndarray]]:
        """The waveform, and the pictures (H, W, 3) that begin at `share` of the room there is (MediaError: it cannot be read)."""
        decoded = self.kept.get(index)
        if not decoded:
            short_side = round(self.sampling.size * 1.25)  # crops enlarge: some detail to spare
            with open_clip(clip) as media:
                wav = media.audio()
                if not self.room_bytes:
                    wanted = self.picture_times(clip, media.rate, share)
                    return self.cut_sound(wav, wanted[0].item(), media.rate), media.pictures_at(
                        wanted.tolist(), short_side
                    )
                frames, times = media.pictures(short_side)
                decoded = Decoded(wav, media.rate, frames, numpy.array(times))
            self.keep(index, decoded)
        wanted = self.picture_times(clip, decoded.rate, share)
        shown = numpy.searchsorted(decoded.times, wanted + SAME_S, side="right") - 1
        return self.cut_sound(decoded.wav, wanted[0].item(), decoded.rate), [
            decoded.frames[number] for number in shown.clip(min=0)
        ]

    def cut_sound(self, wav: Tensor, start_s: float, rate: float) -> Tensor:
        """The sound that goes with pictures from `start_s` on: all of it, or what they cover; a clip too short for them keeps all."""
        if self.sampling.sound == "clip":
            return wav
        length = round(self.sampling.frames * self.sampling.stride / rate * SAMPLE_RATE)
        start = max(0, min(round(start_s * SAMPLE_RATE), len(wav) - length))
        return wav[start : start + length]

    def keep(self, index: int, decoded: Decoded) -> None:
        """Keeps a clip in memory if there is room; none is kept after the first for which there was not."""
        size = decoded.wav.nbytes + sum(frame.nbytes for frame in decoded.frames)
        with self.keeping:
            if size <= self.room_bytes:
                self.room_bytes -= size
                self.kept[index] = decoded
            else:
                self.room_bytes = 0

    def picture_times(self, clip: Clip | ShardClip, rate: float, share: float) -> numpy.ndarray:
        """When the pictures are taken (frames,), seconds from the clip's start: at `stride`, inside what is used of the clip, after
        `share` of the room there is; a shorter clip spreads them evenly.
        """
        number, stride = self.sampling.frames, self.sampling.stride
        room = used_s(clip) - ((number - 1) * stride + 1) / rate
        if room < 0:
            return numpy.linspace(0, max(used_s(clip) - 1 / rate, 0.0), number)
        return share * room + numpy.arange(number) * stride / rate

    def crop(self, frames: list[numpy.ndarray], generator: torch.Generator | None) -> Tensor:
        """Pictures (H, W, 3) to (T, size, size, 3) uint8: one random resized crop and flip for all of them, or the largest
        centred square.
        """
        height, width, _ = frames[0].shape
        side = min(height, width)
        top, left, flip = (height - side) // 2, (width - side) // 2, False
        if generator is not None:
            area, y, x, toss = torch.rand(4, generator=generator).tolist()
            side = max(1, round(side * (self.sampling.crop_min + (1 - self.sampling.crop_min) * area) ** 0.5))
            top, left, flip = round(y * (height - side)), round(x * (width - side)), toss < 0.5
        video = torch.from_numpy(numpy.stack([frame[top : top + side, left : left + side] for frame in frames]))
        # On bytes, channels last, as they were decoded: several times as fast as on floats.
        video = F.interpolate(
            video.permute(0, 3, 1, 2),
            size=(self.sampling.size,) * 2,
            mode="bilinear",
            antialias=True,
            align_corners=False,
        )
        return (video.flip(-1) if flip else video).permute(0, 2, 3, 1)

    def warm(self, threads: int) -> None:
        """Reads the clips that are kept in memory, with a progress bar, before the first epoch needs them."""
        with ThreadPoolExecutor(threads) as pool:
            items = [(None, index) for index in range(len(self.clips))]
            for _ in tqdm(
                pool.map(self.__getitem__, items),
                total=len(items),
                unit="clip",
                desc="reading clips",
                dynamic_ncols=True,
            ):
                if self.room_bytes <= 0:
                    pool.shutdown(cancel_futures=True)
                    break
