"""Clips whose pictures tell moment and crop, as files with a manifest and as shards."""

from pathlib import Path

import numpy

from mmpt.scripts.prepare.shards import main

from helpers.media_files import tone, write_media

HEADER = "id\tvideo\taudio\tstart_s\tduration_s\tsplit\tset\tgroup\n"


def gradients(number: int, height: int, width: int) -> list[numpy.ndarray]:
    """Smooth pictures that a crop or flip changes, and that grow brighter by 4 a picture (modulo 25)."""
    y, x = numpy.mgrid[:height, :width]
    still = numpy.stack([60 * x / width, 60 * y / height, 30 + 0 * x], -1)
    return [(still + 4 * (n % 25) + 10).astype(numpy.uint8) for n in range(number)]


def write_clips(folder: Path) -> Path:
    """A manifest of clips that differ in length, size, rate, start, split and sound."""
    folder.mkdir(parents=True, exist_ok=True)
    fine = {"options": {"movflags": "faststart"}, "codec_options": {"crf": "4"}}
    duet = numpy.stack([tone(12.0, 44100), tone(12.0, 44100, 700, 0.3)])
    write_media(folder / "long.mp4", gradients(300, 48, 64), duet, 44100, "stereo", **fine)
    write_media(
        folder / "large.mp4", gradients(75, 300, 400), tone(2.5, 16000)[None], sound_from_s=0.5, rate=30, **fine
    )
    times = list(numpy.cumsum(numpy.random.default_rng(0).choice([0.04, 0.08, 0.2], 60)).round(2) - 0.04)
    loud = tone(times[-1] + 0.2, 8000, level=1.0)[None]
    write_media(folder / "uneven.mkv", gradients(60, 48, 48), loud, 8000, times=times, audio="pcm_s16le", **fine)
    lines = [
        "long\tlong.mp4\tlong.mp4\t0\t12.0\ttrain\tmock\ta",
        "inside/of.it ü\tlong.mp4\tlong.mp4\t3.21\t7.9\ttrain\tmock\ta",
        f"uneven\tuneven.mkv\tuneven.mkv\t0.5\t{times[-1] - 0.5:.2f}\ttrain\tmock\tb",
        "short\tlong.mp4\tlong.mp4\t5\t0.7\ttrain\tmock\tb",
        "large\tlarge.mp4\tlarge.mp4\t0\t2.5\tdev\tmock\tc",
        "held\tlarge.mp4\tlong.mp4\t0.3\t2.1\ttest\tother\tc",
    ]
    manifest = folder / "manifest.tsv"
    manifest.write_text(HEADER + "".join(line + "\n" for line in lines), encoding="utf-8")
    return manifest


def write_shards(manifest: Path, out: Path, *options: str) -> Path:
    assert (
        main([str(manifest), "--out", str(out), "--clips-per-shard", "3", "--quality", "95", "--jobs", "1", *options])
        == 0
    )
    return out
