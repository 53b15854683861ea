"""One way to open a clip, whether its media are files of their own or lie in a shard."""

import numpy
from torch import Tensor

from mmpt.pretrain.manifest import Clip
from mmpt.pretrain.shards import ShardClip, ShardReader
from mmpt.training.media_pictures import VideoFile
from mmpt.training.media_sound import decode_audio

AUDIO_S = 10.0  # the paper's 1000 frames: what of a clip is used, its first 10 s


def used_s(clip: Clip | ShardClip) -> float:
    """The seconds of a clip that are used."""
    return min(clip.duration_s, AUDIO_S)


class ClipFiles:
    """A clip of a manifest, opened; a context. Times are seconds from the clip's start.

    Raises:
        MediaError: its video file cannot be read; the methods raise it too.
    """

    def __init__(self, clip: Clip):
        self.clip = clip
        self.video = VideoFile(clip.video, clip.start_s)
        self.rate = self.video.rate  # pictures a second, on average

    def __enter__(self) -> "ClipFiles":
        return self

    def __exit__(self, *error) -> None:
        self.video.close()

    def audio(self) -> Tensor:
        """The waveform (samples,) at 16 kHz, in [-1, 1]."""
        return decode_audio(self.clip.audio, self.clip.start_s, used_s(self.clip))

    def pictures_at(self, times: list[float], short_side: int) -> list[numpy.ndarray]:
        """What is on screen at each of the ascending times, (H, W, 3) uint8, scaled down to `short_side` (never up)."""
        return self.video.pictures_at(times, short_side)

    def pictures(self, short_side: int) -> tuple[list[numpy.ndarray], list[float]]:
        """All pictures, (H, W, 3) uint8, and when each comes on screen."""
        return self.video.pictures(used_s(self.clip), short_side)


def open_clip(clip: Clip | ShardClip) -> ClipFiles | ShardReader:
    """The clip, opened for reading (see ClipFiles; a context).

    Raises:
        MediaError: its files or its shard cannot be read.
    """
    return ShardReader(clip) if isinstance(clip, ShardClip) else ClipFiles(clip)
