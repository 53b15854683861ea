"""Clips as training uses them: a waveform and some pictures, cropped and flipped at random."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mmpt.pretrain.clip_batch import ClipBatch, ClipItem, SkippedClip
from mmpt.pretrain.clip_reader import ClipReader
from mmpt.pretrain.file_reader import FileReader
from mmpt.pretrain.jpeg_pictures import JpegPictures, decode_clips
from mmpt.pretrain.manifest import Clip, read_manifest, used_s
from mmpt.pretrain.pictures import Crop, scaled_size
from mmpt.pretrain.settings import PretrainSettings, VideoSettings
from mmpt.pretrain.shard_index import ShardClip, read_index
from mmpt.pretrain.shard_reader import ShardReader
from mmpt.pretrain.tubelets import mean_tubelets
from mmpt.training.draws import named_generator
from mmpt.training.media import SAME_S, MediaError
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.progress import Progress


def read_clips(manifest: Path) -> Sequence[Clip | ShardClip]:
    """Return the clips of a manifest, or of a folder of shards (InputError if it does not fit)."""
    return read_index(manifest) if manifest.is_dir() else read_manifest(manifest)


def training_part(clips: Sequence[Clip | ShardClip], sets: Sequence[str], manifest: Path) -> list[Clip | ShardClip]:
    """Return the training clips of these sets; of all, if none is named.

    Raises:
        InputError: a set has no training clip in `manifest`.
    """
    train = [clip for clip in clips if clip.split == "train"]
    names = sorted({clip.set for clip in train})
    for name in sets:
        if name not in names:
            raise InputError(
                f"data.sets: {manifest} has no training clip of the set {name}; it has {', '.join(names) or 'none'}"
            )
    return [clip for clip in train if clip.set in sets] if sets else train


def open_clip(clip: Clip | ShardClip) -> ClipReader:
    """Return a clip of a manifest or of a shard, opened for reading (MediaError if it cannot be read)."""
    return ShardReader(clip) if isinstance(clip, ShardClip) else FileReader(clip)


@dataclass(frozen=True)
class Sampling:
    """What is taken of a clip.

    Args:
        size: side of a picture, in pixels.
        frames: number of pictures.
        stride: every which picture of the source is taken.
        crop_min: smallest share of the largest square's area that a random crop, a square, keeps.
        sound: "clip" (all of it, up to 10 s) or "pictures" (the stretch that the pictures cover).
        means_of: of these tubelets, the means over space are taken in place of the pictures.
        decodes: False leaves the pictures, which must lie in shards, as JPEG files.
    """

    size: int
    frames: int
    stride: int
    crop_min: float
    sound: str = "clip"
    means_of: VideoSettings | None = None
    decodes: bool = True

    @property
    def short_side(self) -> int:
        """To which pictures are scaled down before they are cropped: detail to spare, as crops are enlarged."""
        return round(self.size * 1.25)


def as_sent(pictures: Tensor, sampling: Sampling) -> Tensor:
    """Return pictures (frames, size, size, 3) uint8 as they are, or the means of their tubelets (times, pixels)."""
    if sampling.means_of is None:
        return pictures
    return mean_tubelets(pictures.permute(3, 0, 1, 2)[None], sampling.means_of)[0]


def sampling_of(settings: PretrainSettings) -> Sampling:
    """Return what the settings take of a clip."""
    video, decodes = settings.video, settings.data.decode == "cpu"
    means_of = video if settings.needs_only_tubelet_means else None
    return Sampling(video.size, video.frames, video.stride, video.crop_min, settings.data.sound, means_of, decodes)


class Decoded(NamedTuple):
    """A decoded clip: its pictures (H, W, 3) uint8, on screen from `times` (N,) on, in seconds from its start."""

    wav: Tensor
    rate: float
    frames: list[numpy.ndarray]
    times: numpy.ndarray


def decoded_items(clips: ClipBatch, device: torch.device, sampling: Sampling) -> list[ClipItem | SkippedClip]:
    """Return the clips of a batch whose pictures are JPEG files, with their pictures decoded on a device."""
    assert clips.jpegs is not None
    items: list[ClipItem | SkippedClip] = []
    pictures = decode_clips(clips.jpegs, device, sampling.short_side, sampling.size)
    for id_, group, wav, video in zip(clips.ids, clips.groups, clips.wavs, pictures, strict=True):
        if isinstance(video, str):
            items.append(SkippedClip(id_, video, clips.epoch))
        else:
            items.append(ClipItem(id_, clips.epoch, wav, as_sent(video, sampling), group))
    return items


class ClipDataset(Dataset):
    """Clips in files or shards. Items are (epoch, index); epoch None is validation: centred, without crop or flip.

    Random draws depend on seed, epoch and the clip's id alone: they are the same in any worker, and after a resume.

    Args:
        clips: of a manifest or an index of shards.
        sampling: what is taken of each.
        seed: of the run.
        memory_gb: size up to which decoded clips are kept in memory. A corpus that fits is decoded once.
    """

    def __init__(self, clips: Sequence[Clip | ShardClip], sampling: Sampling, seed: int, memory_gb: float):
        self.clips = clips
        self.sampling = sampling
        self.seed = seed
        self.room_bytes = int(memory_gb * 1e9)  # 0 once a clip did not fit
        self.kept: dict[int, Decoded] = {}
        self.lock = Lock()

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: tuple[int | None, int]) -> ClipItem | SkippedClip:
        epoch, index = item
        clip = self.clips[index]
        generator = None
        if epoch is not None:
            generator = named_generator(self.seed, epoch, clip.id)
        position = torch.rand(1, generator=generator).item() if generator else 0.5
        try:
            if not self.sampling.decodes:
                return ClipItem(clip.id, epoch, *self.read_files(clip, position, generator), clip.group)
            wav, frames = self.read(clip, index, position)
        except MediaError as error:
            return SkippedClip(clip.id, str(error), epoch)
        return ClipItem(clip.id, epoch, wav, self.crop(frames, generator), clip.group)

    def sound(self, epoch: int, index: int) -> Tensor:
        """Return the waveform (samples,) of an item without reading its pictures (MediaError if it cannot be read)."""
        clip, decoded = self.clips[index], self.kept.get(index)
        position = torch.rand(1, generator=named_generator(self.seed, epoch, clip.id)).item()
        if decoded:
            wav, rate = decoded.wav, decoded.rate
        else:
            with open_clip(clip) as media:
                wav, rate = media.audio(), media.rate
        return self.cut_sound(wav, self.picture_times(clip, rate, position)[0].item(), rate)

    def read(self, clip: Clip | ShardClip, index: int, position: float) -> tuple[Tensor, list[numpy.ndarray]]:
        """Return a clip's waveform and pictures (H, W, 3), taken at `position` (see `picture_times`)."""
        decoded = self.kept.get(index)
        if not decoded:
            with open_clip(clip) as media:
                wav = media.audio()
                if not self.room_bytes:
                    wanted = self.picture_times(clip, media.rate, position)
                    pictures = media.pictures_at(wanted.tolist(), self.sampling.short_side)
                    return self.cut_sound(wav, wanted[0].item(), media.rate), pictures
                frames, times = media.pictures(self.sampling.short_side)
                decoded = Decoded(wav, media.rate, frames, numpy.array(times))
            self.keep(index, decoded)
        wanted = self.picture_times(clip, decoded.rate, position)
        shown = numpy.searchsorted(decoded.times, wanted + SAME_S, side="right") - 1
        pictures = [decoded.frames[number] for number in shown.clip(min=0)]
        return self.cut_sound(decoded.wav, wanted[0].item(), decoded.rate), pictures

    def read_files(
        self, clip: Clip | ShardClip, position: float, generator: torch.Generator | None
    ) -> tuple[Tensor, JpegPictures]:
        """Return the waveform of a clip in a shard and its pictures as JPEG files, taken and drawn as by `read`."""
        assert isinstance(clip, ShardClip)
        with ShardReader(clip) as media:
            wav = media.audio()
            wanted = self.picture_times(clip, media.rate, position)
            files = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in media.files_at(wanted.tolist())]
            size = media.about["height"], media.about["width"]
        crop = Crop.draw(*scaled_size(*size, self.sampling.short_side), self.sampling.crop_min, generator)
        return self.cut_sound(wav, wanted[0].item(), media.rate), JpegPictures(files, size, crop)

    def picture_times(self, clip: Clip | ShardClip, rate: float, position: float) -> numpy.ndarray:
        """Return the times of the pictures (frames,), in seconds from the clip's start.

        Pictures are `stride` apart. `position` in [0, 1] places them in the used part of the clip, from as early to as
        late as possible. In a clip too short for the stride they are spread evenly.
        """
        number, stride = self.sampling.frames, self.sampling.stride
        seconds = used_s(clip.duration_s)
        room = seconds - ((number - 1) * stride + 1) / rate
        if room < 0:
            return numpy.linspace(0, max(seconds - 1 / rate, 0.0), number)
        return position * room + numpy.arange(number) * stride / rate

    def cut_sound(self, wav: Tensor, start_s: float, rate: float) -> Tensor:
        """Return the sound of pictures from `start_s` on: all of it, or what they cover; a clip too short keeps all."""
        if self.sampling.sound == "clip":
            return wav
        length = round(self.sampling.frames * self.sampling.stride / rate * SAMPLE_RATE)
        start = max(0, min(round(start_s * SAMPLE_RATE), len(wav) - length))
        return wav[start : start + length]

    def crop(self, frames: list[numpy.ndarray], generator: torch.Generator | None) -> Tensor:
        """Return pictures (H, W, 3) as the batch has them (see ClipItem); all get the same crop and flip."""
        height, width, _ = frames[0].shape
        crop = Crop.draw(height, width, self.sampling.crop_min, generator)
        squares = torch.from_numpy(numpy.stack([crop.cut(frame) for frame in frames])).permute(0, 3, 1, 2)
        return as_sent(crop.shown(squares, self.sampling.size), self.sampling)

    def keep(self, index: int, decoded: Decoded) -> None:
        """Keep a clip in memory if there is room; after the first that did not fit, keep no more."""
        size = decoded.wav.nbytes + sum(frame.nbytes for frame in decoded.frames)
        with self.lock:
            if size <= self.room_bytes:
                self.room_bytes -= size
                self.kept[index] = decoded
            else:
                self.room_bytes = 0

    def fill_memory(self, threads: int) -> None:
        """Read the clips that are kept in memory, with a progress bar, before the first epoch needs them."""
        with ThreadPoolExecutor(threads) as pool:
            items = [(None, index) for index in range(len(self.clips))]
            read = pool.map(self.__getitem__, items)
            for _ in Progress(read, total=len(items), unit="clip", desc="reading clips", dynamic_ncols=True):
                if self.room_bytes <= 0:
                    pool.shutdown(cancel_futures=True)
                    break
