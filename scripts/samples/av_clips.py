"""Write audio-visual clips: every recording with a rendered mouth, av/SPLIT/SPEAKER/CLIP.mp4, and av/manifest.tsv."""

from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np

from mmpt.pretrain.manifest import COLUMNS, Clip, write_manifest
from mmpt.scripts.samples import mouths
from mmpt.scripts.samples.motion import FPS, motion
from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import CHANNELS, Store
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

SET = "samples-rendered"
NOTICE = "rendered mouth driven by audio energy and spectrum; not a recording of a face"

KEY_FRAME_EVERY = 2 * FPS
VIDEO_OPTIONS = {
    "preset": "superfast",
    "crf": "20",
    # A key frame every 2 s and nowhere else, so that seeking works alike in all clips; one thread, so that the bytes
    # do not depend on the number of cores.
    "x264-params": f"keyint={KEY_FRAME_EVERY}:min-keyint={KEY_FRAME_EVERY}:scenecut=0:bframes=0:threads=1",
}
AUDIO_BITS_PER_SECOND = 48000


def build(recordings: list[Recording], root: Path, store: Store, workers: Workers) -> list[BuiltFile]:
    """Write every recording's clip and the manifest into root/av."""
    workers.run("mouths (mp4)", partial(write_clip, root, store), recordings)
    write_manifest(root / "av/manifest.tsv", (clip_of(recording, root, store) for recording in recordings))
    return [BuiltFile("av", item.split, f"av/{clip_path(item)}", (item.source,)) for item in recordings]


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    return f"""\
- `av/`: every clip, H.264 ({mouths.SIZE} × {mouths.SIZE} pixels, {FPS} frames a second, key frame every 2 s) and AAC in
  one mp4; `manifest.tsv` has the columns {", ".join(COLUMNS)} (paths from its own folder)."""


def clip_path(recording: Recording) -> str:
    """Return the path of a clip inside av/."""
    return f"{recording.split}/{recording.speaker}/{recording.clip}.mp4"


def clip_of(recording: Recording, root: Path, store: Store) -> Clip:
    """Return a recording as a clip of the manifest."""
    path = root / "av" / clip_path(recording)
    duration_s = len(store.load(recording.source)) / SAMPLE_RATE
    return Clip(recording.key, path, path, 0.0, duration_s, recording.split, SET, recording.speaker)


def write_clip(root: Path, store: Store, recording: Recording) -> None:
    """Render and encode one recording.

    Every clip has a look of its own: if a speaker had one, sound and picture would match without any motion.
    """
    wav = store.load(recording.source)
    pictures = mouths.draw(mouths.look_of(recording.key), motion(wav))
    path = root / "av" / clip_path(recording)
    path.parent.mkdir(parents=True, exist_ok=True)
    encode(path, pictures, wav)


def encode(path: Path, pictures: np.ndarray, wav: np.ndarray) -> None:
    """Write an mp4 file of H.264 and AAC.

    Args:
        path: of the file.
        pictures: (frames, 168, 112) uint8, YUV 4:2:0.
        wav: (samples,) float32 at 16 kHz.

    Raises:
        InputError: PyAV cannot encode H.264.
    """
    if "libx264" not in av.codecs_available:
        raise InputError("PyAV: this build has no libx264 encoder; install PyAV's own wheel (pip install av)")
    with av.open(str(path), "w", format="mp4") as container:
        container.metadata["title"] = container.metadata["comment"] = NOTICE
        video = container.add_stream("libx264", rate=FPS, options=VIDEO_OPTIONS)
        video.width = video.height = mouths.SIZE
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, FPS)
        video.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout=CHANNELS, options={"aac_coder": "fast"})
        audio.bit_rate = AUDIO_BITS_PER_SECOND

        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts = number
            frame.time_base = Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))

        sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(wav[None]), format="fltp", layout=CHANNELS)
        sound.rate = SAMPLE_RATE
        sound.pts = 0
        sound.time_base = Fraction(1, SAMPLE_RATE)
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
