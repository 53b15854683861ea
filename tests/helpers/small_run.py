"""A stage-1 run that takes a second: nine short clips for training, three for dev, and a small video tower."""

from pathlib import Path

from mmpt.pretrain.run import CONFIGS

from helpers.clip_files import write_manifest

SMALL = [
    "--config",
    str(CONFIGS / "samples.yaml"),
    "data.batch_size=4",
    "video.size=16",
    "video.n_layers=1",
    "optim.warmup_steps=0",
    "validate_every=4",
    "checkpoint_every=2",
    "log_every=1",
]


def write_small_manifest(folder: Path) -> Path:
    """Write the clips and their manifest; return the manifest."""
    train = [(f"t{i}", 1.0 + 0.1 * i, "train", "ab"[i % 2]) for i in range(9)]
    return write_manifest(folder, train + [(f"d{i}", 1.2, "dev", "c") for i in range(3)])
