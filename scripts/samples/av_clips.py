"""Write audio-visual clips: recordings with a rendered mouth, av/SPLIT/SPEAKER/CLIP.mp4, and av/manifest.tsv.

All training recordings are there, and as many of dev and test as a validation needs.
"""

from collections import Counter
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np

from mmpt.pretrain.manifest import COLUMNS, Clip, write_manifest
from mmpt.scripts.samples import mouths, pack_tables, split
from mmpt.scripts.samples.motion import FPS, motion
from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import CHANNELS, Store
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

# The column `set` of the manifest, by which training takes a part of the clips (data.sets).
GAMES = "speech-games"
SPANISH = "speech-spanish"
PROMPTS = "speech-prompts"
SYNTHETIC = "synthetic-commands"
SOUNDS = "sounds"
SETS = {
    GAMES: "acted English lines of the three games",
    SPANISH: "acted Spanish lines of Drascula",
    PROMPTS: "telephone prompts in four languages, the rhyme test and readers",
    SYNTHETIC: "synthetic voices, which speak commands and single words",
    SOUNDS: "noises and music without speech",
}
HELD_OUT = {"dev": 300, "test": 150}  # clips

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
    """Write the clips and the manifest into root/av."""
    chosen = choose(recordings)
    durations = workers.run("mouths (mp4)", partial(write_clip, root, store), chosen)
    clips = (clip_of(item, root, seconds) for item, seconds in zip(chosen, durations, strict=True))
    write_manifest(root / "av/manifest.tsv", clips)
    return [BuiltFile("av", item.split, f"av/{clip_path(item)}", (item.source,)) for item in chosen]


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    counts = Counter((set_of(item), item.split) for item in choose(recordings))
    rows = "\n".join(
        f"  | {name} | {' | '.join(str(counts[name, side]) for side in split.SPLITS)} | {what} |"
        for name, what in SETS.items()
    )
    return f"""\
- `av/`: clips, H.264 ({mouths.SIZE} × {mouths.SIZE} pixels, {FPS} frames a second, key frame every 2 s) and AAC in one
  mp4; `manifest.tsv` has the columns {", ".join(COLUMNS)} (paths from its own folder).
  Training has every training recording; dev and test are a part of theirs, the same in all builds.
  Stage 1 trains on some of the sets alone with `data.sets=[...]`:

  | set | train | dev | test | holds |
  |---|---|---|---|---|
{rows}
"""


def choose(recordings: list[Recording]) -> list[Recording]:
    """Return the recordings that become clips: of dev and test, those that a hash of their names puts first."""
    chosen = {
        item.source
        for name, most in HELD_OUT.items()
        for item in sorted((item for item in recordings if item.split == name), key=place)[:most]
    }
    return [item for item in recordings if item.split not in HELD_OUT or item.source in chosen]


def place(item: Recording) -> float:
    """Return where a recording stands among those that may be chosen: the same place in every build."""
    return split.percent(f"clip {item.source}")


def set_of(item: Recording) -> str:
    """Return the set of a recording's clip."""
    if item.kind in pack_tables.GAMES:
        return GAMES if item.language == "en" else SPANISH
    return {"intent": SYNTHETIC, "word": SYNTHETIC, "sound": SOUNDS}.get(item.kind, PROMPTS)


def clip_path(recording: Recording) -> str:
    """Return the path of a clip inside av/."""
    return f"{recording.split}/{recording.speaker}/{recording.clip}.mp4"


def clip_of(recording: Recording, root: Path, duration_s: float) -> Clip:
    """Return a recording as a clip of the manifest."""
    path = root / "av" / clip_path(recording)
    return Clip(recording.key, path, path, 0.0, duration_s, recording.split, set_of(recording), recording.speaker)


def write_clip(root: Path, store: Store, recording: Recording) -> float:
    """Render and encode one recording; return its length in seconds.

    Every clip has a look of its own: if a speaker had one, sound and picture would match without any motion.
    """
    wav = store.load(recording.source)
    pictures = mouths.draw(mouths.look_of(recording.key), motion(wav))
    path = root / "av" / clip_path(recording)
    path.parent.mkdir(parents=True, exist_ok=True)
    encode(path, pictures, wav)
    return len(wav) / SAMPLE_RATE


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
