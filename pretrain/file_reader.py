"""Clips whose sound and pictures lie in media files, as a manifest lists them."""

import numpy
from torch import Tensor

from mmpt.pretrain.clip_reader import ClipReader
from mmpt.pretrain.manifest import Clip, used_s
from mmpt.training.media_pictures import VideoFile
from mmpt.training.media_sound import decode_audio


class FileReader(ClipReader):
    """A clip of a manifest."""

    def __init__(self, clip: Clip):
        self.clip = clip
        self.video = VideoFile(clip.video, clip.start_s)
        self.rate = self.video.rate

    def audio(self) -> Tensor:
        return decode_audio(self.clip.audio, self.clip.start_s, used_s(self.clip.duration_s))

    def pictures_at(self, times: list[float], short_side: int) -> list[numpy.ndarray]:
        return self.video.pictures_at(times, short_side)

    def pictures(self, short_side: int) -> tuple[list[numpy.ndarray], list[float]]:
        return self.video.pictures(used_s(self.clip.duration_s), short_side)

    def close(self) -> None:
        self.video.close()
