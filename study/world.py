"""What a study runs on and where: its folders, data and device."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from mmpt.study.plan import Plan
from mmpt.training.stage_commands import run_command
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY, read_build, samples_folder


@dataclass(frozen=True)
class Data:
    """The corpora. The samples' sets of clips exist in the samples alone.

    Args:
        clips: a manifest or a folder of shards.
        must_c: the folder that holds en-xx.
        root: of the tasks' corpora.
        are_samples: all three are the built samples.
    """

    clips: Path
    must_c: Path
    root: Path
    are_samples: bool

    def versions(self) -> str:
        """Return what tells the corpora from others: the version of built samples, the path of the user's."""
        folders = (self.clips.parent.parent, self.must_c.parent, self.root)
        marks = [read_build(folder) for folder in folders]
        known = [
            f"{mark['version']} {mark['sources']} {mark['size']}" if mark else str(path)
            for mark, path in zip(marks, (self.clips, self.must_c, self.root))
        ]
        return json.dumps([known])

    @property
    def has_samples_tasks(self) -> bool:
        """True if the tasks read a build of the samples."""
        return bool(read_build(self.root))

    def described(self) -> str:
        """Return the corpora for a reader."""
        if self.are_samples:
            return f"the samples, {read_build(self.root).get('size', 'of unknown size')}"
        return f"clips {self.clips}, translations {self.must_c}, tasks {self.root}"


@dataclass(frozen=True)
class World:
    """Where a study runs.

    Args:
        out: its folder.
        data: its corpora.
        device: cpu or cuda.
        jobs: heads at a time; trainings, too, on the CPU.
        steps: of each training and head, in place of the plan's, to try whether everything runs; None: the plan's.
    """

    out: Path
    data: Data
    device: str
    jobs: int
    steps: int | None = None

    @property
    def trainings(self) -> int:
        """Trainings at a time: a GPU is busy with one; on the CPU, two with a thread each do more than one with two."""
        return 1 if self.device == "cuda" else self.jobs

    @property
    def threads(self) -> int | None:
        """Threads of a training; None: as many as it chooses."""
        return None if self.trainings == 1 else max(1, (os.cpu_count() or 1) // self.trainings)

    def folder(self, name: str) -> Path:
        """Return the run folder of an encoder."""
        return self.out / "encoders" / name

    def encoder_file(self, name: str) -> Path:
        """Return an encoder's checkpoint."""
        return self.folder(name) / "encoder.pt"

    def log(self, name: str) -> Path:
        """Return the file for the output of an encoder's commands."""
        folder = self.out / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.log"


def find_data(plan: Plan, clips: Path | None, must_c: Path | None, root: Path | None) -> Data:
    """Return the user's corpora; where one is not named, that of the samples, which are built if need be.

    Raises:
        InputError: one of the user's is not there.
    """
    for flag, path in (("--clips", clips), ("--must-c", must_c), ("--data-root", root)):
        if path and not path.exists():
            raise InputError(f"{flag} {path}: there is no such file or folder")
    if clips and must_c and root:
        return Data(clips.absolute(), must_c.absolute(), root.absolute(), are_samples=False)
    samples = _samples(plan.samples)
    return Data(
        (clips or samples / "av" / "manifest.tsv").absolute(),
        (must_c or samples / "must_c").absolute(),
        (root or samples).absolute(),
        are_samples=not (clips or must_c or root),
    )


def _samples(size: str) -> Path:
    """Return the built samples of at least this size; build them first if they are missing.

    A build that $MMPT_SAMPLES names is taken as it is.
    """
    usual = samples_folder()
    there = read_build(usual).get("size")
    if size == "small" or there == "full" or os.environ.get("MMPT_SAMPLES"):
        folder, is_full = usual, (there or size) == "full"
    else:
        folder, is_full = REPOSITORY / "data" / "full", True
    run_command("scripts/samples/build.py", "--out", str(folder), *(["--full"] if is_full else []))
    return folder
