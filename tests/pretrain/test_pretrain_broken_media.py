"""A training run survives forty kinds of broken media among 800 good clips, and lists each with its reason."""

import json

import pytest

from mmpt.pretrain.manifest import Clip, write_manifest
from mmpt.pretrain.run import CONFIGS, main

from helpers.broken_media import SECONDS, write_broken
from helpers.clip_files import write_clip

pytestmark = pytest.mark.slow

SMALL = [
    "--config",
    str(CONFIGS / "samples.yaml"),
    "device=cpu",
    "video.size=16",
    "video.n_layers=1",
    "data.memory_gb=0",
    "data.batch_size=83",
    "optim.warmup_steps=0",
    "optim.lr=1e-4",
]


def test_forty_kinds_of_broken_media_are_survived_and_listed(tmp_path):
    files = [tmp_path / f"good{number}.mp4" for number in range(3)]
    for number, file in enumerate(files):
        write_clip(file, 0.3, number, size=32)
    broken = [
        Clip(name, video, audio, start_s, SECONDS, "train", "mock", "b")
        for name, video, audio, start_s in write_broken(tmp_path / "broken")
    ][:40]
    good = [
        Clip(f"good{n}", files[n % 3], files[n % 3], 0.0, 0.3, "train" if n < 790 else "dev", "mock", "g")
        for n in range(800)
    ]
    clips = [clip for n in range(40) for clip in [*good[20 * n : 20 * n + 20], broken[n]]]
    write_manifest(tmp_path / "manifest.tsv", clips)
    # Ten updates of 83 clips are an epoch of the 830 training clips: each of them is read.
    assert (
        main(["--data", str(tmp_path / "manifest.tsv"), "--out", str(tmp_path / "run"), *SMALL, "optim.steps=10"]) == 0
    )
    listed = [json.loads(line) for line in (tmp_path / "run" / "skipped.jsonl").read_text().splitlines()]
    assert len(listed) == len({entry["id"] for entry in listed})
    assert {entry["id"] for entry in listed} == {clip.id for clip in broken}
    assert all(entry["reason"].startswith(("video: ", "audio: ")) for entry in listed)
