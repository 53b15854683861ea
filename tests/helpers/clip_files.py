"""Small media files for the tests: synthetic sound and pictures, not recordings."""

from pathlib import Path

import av
import numpy


def write_clip(
    path: Path, seconds: float, seed: int, rate: int = 25, size: int = 48, sound: bool = True, picture: bool = True
) -> None:
    """An mp4 whose grey level counts its frames (modulo 50) and whose sound is noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = numpy.random.default_rng(seed).normal(0, 0.1, round(seconds * 16000)).clip(-1, 1).astype(numpy.float32)
    with av.open(str(path), "w") as container:
        if picture:
            video = container.add_stream("libx264", rate=rate, options={"g": str(rate * 2), "crf": "10"})
            video.width = video.height = size
            video.pix_fmt = "yuv420p"
        if sound:
            audio = container.add_stream("aac", rate=16000, layout="mono")
        if picture:
            for number in range(round(seconds * rate)):
                grey = numpy.full((size, size, 3), 5 * (number % 50), numpy.uint8)
                container.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            container.mux(video.encode(None))
        if sound:
            for start in range(0, len(noise), 1024):
                frame = av.AudioFrame.from_ndarray(noise[None, start : start + 1024], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 16000, start
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))


def write_manifest(folder: Path, clips: list[tuple[str, float, str, str]]) -> Path:
    """Clips (id, seconds, split, group) as files and their manifest."""
    lines = ["id\tvideo\taudio\tstart_s\tduration_s\tsplit\tset\tgroup"]
    for seed, (name, seconds, split, group) in enumerate(clips):
        write_clip(folder / f"{name}.mp4", seconds, seed)
        lines.append(f"{name}\t{name}.mp4\t{name}.mp4\t0\t{seconds}\t{split}\tmock\t{group}")
    manifest = folder / "manifest.tsv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest
