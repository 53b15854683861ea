"""Files that an earlier version wrote (tests/kept/README.md)."""

import json
import shutil
from pathlib import Path

from mmpt.upstream.repository import REPOSITORY

FOLDER = REPOSITORY / "tests" / "kept"
MICRO = {"conv_channels": 8, "d_model": 8, "n_layers": 1, "n_heads": 2, "ffn_dim": 16, "depthwise_kernel": 3}


def unpack(name: str, folder: Path) -> Path:
    """Unpack an archive into a folder; return the folder."""
    shutil.unpack_archive(FOLDER / f"{name}.tar.xz", folder, filter="data")
    return folder


def logged(run: Path) -> list[dict]:
    """Return the lines of a run's log."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def check_log(run: Path, before: list[dict], tolerances: dict[str, float]) -> None:
    """Compare what a resumed run logged with what the old code logged: each figure of that within a share of itself."""
    now = logged(run)
    assert [(line["step"], line["split"]) for line in now] == [(line["step"], line["split"]) for line in before]
    for ours, theirs in zip(now, before):
        assert ours.keys() >= theirs.keys() and tolerances.keys() & theirs.keys()
        for name in tolerances.keys() & theirs.keys():
            assert abs(ours[name] - theirs[name]) <= tolerances[name] * abs(theirs[name]), (name, ours, theirs)
