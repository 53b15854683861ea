"""Clips as training wants them: a waveform and 16 pictures, cropped and flipped at random but the same each time asked."""

import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset
from tqdm import tqdm

from mmpt.pretrain.manifest import Clip
from mmpt.pretrain.media import MediaError, VideoFile, decode_audio

AUDIO_S = 10.0  # the paper's 1000 frames


@dataclass(frozen=True)
class Sampling:
    """How a clip is cut.

    size: side of a picture in pixels. frames, stride: pictures a clip, and every which one is taken.
    crop_min: smallest share of the picture's area that a random crop keeps.
    """

    size: int
    frames: int
    stride: int
    crop_min: float


@dataclass(frozen=True)
class Skipped:
    """A clip that could not be read, and why."""

    id: str
    reason: str


@dataclass
class ClipBatch:
    """wavs: list of (samples,). video: (B, 3, frames, size, size) uint8. groups: of each clip. skipped: left out."""

    wavs: list[Tensor]
    video: Tensor
    groups: list[str]
    skipped: list[Skipped]


class ClipDataset(Dataset):
    """Clips of a manifest. An item is asked for by (epoch, index), epoch None meaning validation: centre, no crop, no flip.

    Args:
        memory_gb: decoded clips of this data set are kept in memory up to this size. A corpus that fits is decoded once, not once an epoch.
    """

    def __init__(self, clips: list[Clip], sampling: Sampling, seed: int, memory_gb: float):
        self.clips = clips
        self.sampling = sampling
        self.seed = seed
        self.room_bytes = int(memory_gb * 1e9)  # 0 once a clip did not fit
        self.kept: dict[int, tuple] = {}
        self.keeping = Lock()

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: tuple[int | None, int]) -> tuple[Tensor, Tensor, str] | Skipped:
        epoch, index = item
        clip = self.clips[index]
        generator = None
        if epoch is not None:  # by name, not by position: the same draw on any number of workers, and after a resume
            generator = torch.Generator().manual_seed(zlib.crc32(f"{self.seed}/{epoch}/{clip.id}".encode()))
        try:
            wav, rate, frames, times = self.kept.get(index) or self.decode(clip, index, generator)
        except MediaError as error:
            return Skipped(clip.id, str(error))
        wanted = self.frame_times(clip, rate, generator)
        shown = torch.searchsorted(times, wanted + 1e-6, right=True).sub(1).clamp(min=0)
        return wav, self.crop(frames[shown], generator), clip.group

    def decode(self, clip: Clip, index: int, generator: torch.Generator | None) -> tuple[Tensor, float, Tensor, Tensor]:
        """Waveform, frame rate, pictures and their times. Pictures of the wanted moments only, unless the clip is kept."""
        wav = decode_audio(clip.audio, clip.start_s, min(clip.duration_s, AUDIO_S))
        short_side = round(self.sampling.size * 1.25)  # crops enlarge: some detail to spare
        with VideoFile(clip.video) as file:
            rate = file.rate
            if not self.room_bytes:
                state = generator.get_state() if generator else None
                wanted = self.frame_times(clip, rate, generator)
                if generator:
                    generator.set_state(state)  # the caller draws the same start again
                return wav, rate, *file.decode(wanted[0].item(), wanted[-1].item() + 0.5 / rate, short_side)
            frames, times = file.decode(clip.start_s, clip.start_s + min(clip.duration_s, AUDIO_S), short_side)
        decoded = (wav, rate, frames, times)
        size = wav.nbytes + frames.nbytes
        with self.keeping:
            if size <= self.room_bytes:
                self.room_bytes -= size
                self.kept[index] = decoded
            else:
                self.room_bytes = 0
        return decoded

    def frame_times(self, clip: Clip, rate: float, generator: torch.Generator | None) -> Tensor:
        """When the pictures are taken (frames,), seconds of the file: at `stride` from a random start (the centre in
        validation) inside the audio's first 10 s; a shorter clip spreads them evenly."""
        number, stride = self.sampling.frames, self.sampling.stride
        available = min(clip.duration_s, AUDIO_S)
        room = available - ((number - 1) * stride + 1) / rate
        if room < 0:
            last = max(available - 1 / rate, 0.0)
            return clip.start_s + torch.linspace(0, last, number, dtype=torch.float64)
        share = 0.5 if generator is None else torch.rand(1, generator=generator).item()
        return clip.start_s + share * room + torch.arange(number, dtype=torch.float64) * stride / rate

    def crop(self, frames: Tensor, generator: torch.Generator | None) -> Tensor:
        """Pictures (T, H, W, 3) to (3, T, size, size) uint8: one random resized crop and flip for all of them, or the largest
        centred square."""
        _, height, width, _ = frames.shape
        side = min(height, width)
        top, left, flip = (height - side) // 2, (width - side) // 2, False
        if generator is not None:
            area, y, x, toss = torch.rand(4, generator=generator).tolist()
            side = max(1, round(side * (self.sampling.crop_min + (1 - self.sampling.crop_min) * area) ** 0.5))
            top, left, flip = round(y * (height - side)), round(x * (width - side)), toss < 0.5
        video = frames[:, top : top + side, left : left + side].permute(0, 3, 1, 2)
        # On bytes, channels last, as they were decoded: several times as fast as on floats.
        video = video.contiguous(memory_format=torch.channels_last)
        video = F.interpolate(video, size=(self.sampling.size,) * 2, mode="bilinear", antialias=True, align_corners=False)
        return (video.flip(-1) if flip else video).transpose(0, 1)

    def warm(self, threads: int) -> None:
        """Reads the clips that are kept in memory, with a progress bar, before the first epoch needs them."""
        with ThreadPoolExecutor(threads) as pool:
            items = [(None, index) for index in range(len(self.clips))]
            for _ in tqdm(pool.map(self.__getitem__, items), total=len(items), unit="clip", desc="reading clips", dynamic_ncols=True):
                if self.room_bytes <= 0:
                    pool.shutdown(cancel_futures=True)
                    break


def collate(items: list) -> ClipBatch:
    """A batch of what could be read."""
    good = [item for item in items if not isinstance(item, Skipped)]
    video = torch.stack([video for _, video, _ in good]) if good else torch.zeros(0)
    return ClipBatch([wav for wav, _, _ in good], video, [group for *_, group in good], [i for i in items if isinstance(i, Skipped)])


class EpochBatches:
    """Item numbers of one epoch's batches: shuffled by seed and epoch, without the last incomplete batch and the first
    `skip` batches. A DataLoader's batch_sampler."""

    def __init__(self, clips: int, batch_size: int, seed: int, epoch: int, skip: int):
        order = torch.randperm(clips, generator=torch.Generator().manual_seed(zlib.crc32(f"{seed}/{epoch}".encode()))).tolist()
        full = clips // batch_size
        self.batches = [[(epoch, i) for i in order[n * batch_size : (n + 1) * batch_size]] for n in range(skip, full)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.batches)
