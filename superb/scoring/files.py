"""Read the predictions of a bundle, and the truths that S3PRL's runner and Kaldi folders hold."""

import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from mmpt.superb.scoring.layout import DEV_DIARIZATION, PUBLIC, SD_FRAME_SHIFT, SD_PREDICTIONS, TRUTHS
from mmpt.upstream.errors import InputError

Turn = tuple[float, float, str]  # start in s, end in s, speaker


@dataclass(frozen=True)
class Diarization:
    """SD's predictions.

    Args:
        probabilities: recording → (frames, speakers).
        frame_shift: in samples; None if the file is missing.
    """

    probabilities: dict[str, np.ndarray]
    frame_shift: int | None


class Predictions:
    """The files of a bundle: a folder with predict.zip, the zip file itself, or a folder with predict/.

    Raises:
        InputError: the path is none of these.
    """

    def __init__(self, path: Path):
        self.path = path
        archive = path / "predict.zip" if path.is_dir() else path
        if not archive.is_file() and not (path / "predict").is_dir():
            where = "where the server looks (predict/ks_public/predict.txt, ...)"
            raise InputError(f"{path}: holds neither predict.zip nor predict/, {where}")
        if not archive.is_file():
            files = sorted(file for file in (path / "predict").rglob("*") if file.is_file())
            self.files = {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
            return
        try:
            with zipfile.ZipFile(archive) as content:
                self.files = {info.filename: content.read(info) for info in content.infolist() if not info.is_dir()}
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(f"{archive}: cannot be opened as a zip file: {error}") from None

    def tasks(self) -> list[str]:
        """Return the tasks with predictions."""
        return [task for task, name in PUBLIC.items() if name in self.files] + (
            ["sd"] if any(self._recordings()) else []
        )

    def table(self, task: str) -> dict[str, str]:
        """Return id → prediction, as the server reads it: the last of two lines with one id counts."""
        return read_table(decode(self.files[PUBLIC[task]], PUBLIC[task]), "," if task == "ic" else " ")

    def diarization(self) -> Diarization:
        """Return SD's predictions for test."""
        shift = self.files.get(SD_FRAME_SHIFT)
        probabilities = {Path(name).stem: read_h5(self.files[name], name) for name in self._recordings()}
        return Diarization(probabilities, None if shift is None else read_shift(shift, SD_FRAME_SHIFT))

    def dev_diarization(self) -> Diarization | None:
        """Return SD's predictions for dev, which lie beside predict.zip; None if there are none."""
        folder = self.path / DEV_DIARIZATION
        files = sorted(folder.glob("*.h5"))
        if not files or not (folder / "frame_shift").is_file():
            return None
        probabilities = {file.stem: read_h5(file.read_bytes(), str(file)) for file in files}
        return Diarization(probabilities, read_shift((folder / "frame_shift").read_bytes(), str(folder)))

    def _recordings(self) -> Iterator[str]:
        return (name for name in self.files if name.startswith(SD_PREDICTIONS) and name.endswith(".h5"))


def read_table(text: str, separator: str) -> dict[str, str]:
    """Read lines `id SEPARATOR rest`. An id alone has an empty rest; empty lines are skipped."""
    pairs = (line.strip().partition(separator) for line in text.splitlines() if line.strip())
    return {key: value.strip() for key, _, value in pairs}


def decode(content: bytes, name: str) -> str:
    """Decode UTF-8 text. Raises InputError."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: is not UTF-8 text: {error}") from None


def read_h5(content: bytes, name: str) -> np.ndarray:
    """Return `T_hat` of one of SD's files, (frames, speakers). Raises InputError."""
    try:
        with h5py.File(io.BytesIO(content)) as file:
            found = np.asarray(file["T_hat"], dtype=np.float64)
    except (OSError, KeyError) as error:
        raise InputError(f"{name}: cannot be read as HDF5 with a table T_hat: {error}") from None
    if found.ndim != 2:
        raise InputError(f"{name}: T_hat has the shape {found.shape}, expected (frames, speakers)")
    return found


def read_shift(content: bytes, name: str) -> int:
    """Return the samples under a frame. Raises InputError."""
    try:
        return int(content.decode("ascii").strip())
    except (UnicodeDecodeError, ValueError):
        raise InputError(f"{name}: must hold one whole number, the samples under a frame") from None


@dataclass(frozen=True)
class Truth:
    """What predictions are compared with.

    Args:
        tables: task → id → truth.
        rttm_files: recording → who spoke when, one for each rttm file, dev's among them.
    """

    tables: dict[str, dict[str, str]]
    rttm_files: list[dict[str, list[Turn]]]


def read_truth(paths: list[Path]) -> Truth:
    """Read files, and all files with the runner's names below folders.

    Raises:
        InputError: a path is missing, a file's name is unknown, or two files disagree about an id.
    """
    tables: dict[str, dict[str, str]] = {}
    rttm_files: list[dict[str, list[Turn]]] = []
    for path in paths:
        for task, file in _truth_files(path):
            text = decode(file.read_bytes(), str(file))
            if task == "sd":
                rttm_files.append(read_rttm(text, file))
                continue
            known = tables.setdefault(task, {})
            for key, value in read_table(text, "," if task == "ic" else " ").items():
                if known.setdefault(key, value) != value:
                    raise InputError(
                        f"{file}: disagrees about '{key}' with another file of --truth; name one of them alone"
                    )
    return Truth(tables, rttm_files)


def _truth_files(path: Path) -> Iterator[tuple[str, Path]]:
    names = {name: task for task, group in TRUTHS.items() for name in group}
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            folders.sort()
            yield from ((names[name], Path(folder, name)) for name in sorted(files) if name in names)
    elif path.is_file() and (path.name in names or path.suffix == ".rttm"):
        yield names.get(path.name, "sd"), path
    else:
        known = ", ".join(names)
        raise InputError(
            f"--truth {path}: " + (f"its name must be one of {known}" if path.exists() else "no such file or folder")
        )


def read_rttm(text: str, file: Path) -> dict[str, list[Turn]]:
    """Return recording → turns, from an RTTM file's SPEAKER lines. Raises InputError."""
    turns: dict[str, list[Turn]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        try:
            start, seconds = float(fields[3]), float(fields[4])
            turns.setdefault(fields[1], []).append((start, start + seconds, fields[7]))
        except (IndexError, ValueError):
            raise InputError(f"{file}, line {number}: is not an RTTM line: {line}") from None
    return turns
