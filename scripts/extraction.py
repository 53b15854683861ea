"""Features of sound files: which files, which layers, batches of waveforms, and one .npz or .pt file for each."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from mmpt.training.media import MediaError
from mmpt.training.media_sound import decode_whole
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import replacing, write_text
from mmpt.upstream.mmpt_av import Encoder
from mmpt.upstream.mmpt_av.cache import weights_hash
from mmpt.upstream.mmpt_av.checkpoint import write_atomically
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.mmpt_av.precision import computing_in
from mmpt.upstream.progress import Progress

SUFFIXES = (".npz", ".pt")  # of features
SOUND = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".webm"}
READ_AHEAD = 16  # files decoded at the same time


@dataclass(frozen=True)
class Extraction:
    """What to compute of each sound file.

    Args:
        encoder: on the device that computes.
        layers: numbers of hidden states; 0 is the input of the first block.
        batch_s: seconds of sound in a batch; a longer file is a batch of its own.
        precision: of the products, float32 or bfloat16.
        half: store states as float16.
    """

    encoder: Encoder
    layers: list[int]
    batch_s: float
    precision: str = "float32"
    half: bool = False

    def settings(self) -> dict:
        """Return what all files of a folder have in common. Folders made before `precision` existed have none."""
        shared = {"hop": self.encoder.hop, "layers": self.layers, "half": self.half}
        precision = {} if self.precision == "float32" else {"precision": self.precision}
        return {"weights": weights_hash(self.encoder.state_dict().items()), **shared, **precision}

    def __call__(self, files: list[Path]) -> Iterator[tuple[Path, dict | str]]:
        """Yield each file with its content to write (see extract.py), or with the reason why it cannot be read."""
        with ThreadPoolExecutor(READ_AHEAD) as pool:
            for first in range(0, len(files), READ_AHEAD):
                some = files[first : first + READ_AHEAD]
                wavs: dict[Path, Tensor] = {}
                for file, wav in zip(some, pool.map(_decode, some)):
                    if isinstance(wav, str):
                        yield file, wav
                    else:
                        wavs[file] = wav
                for batch in _batches(wavs, self.batch_s):
                    for file, states in zip(batch, self.states([wavs[file] for file in batch])):
                        about = {"samples": len(wavs[file]), "hop": self.encoder.hop, "layers": self.layers}
                        yield file, {"states": states, **about}

    def states(self, wavs: list[Tensor]) -> Iterator[Tensor]:
        """Yield the states of each waveform, (T, C) of one layer or (layers, T, C) of several, on the CPU."""
        device = next(self.encoder.parameters()).device
        with torch.no_grad(), computing_in(self.precision, device):
            out = self.encoder([wav.to(device) for wav in wavs])
        states = torch.stack([out.hidden_states[layer] for layer in self.layers], dim=1).cpu()  # (B, layers, T, C)
        for one, n in zip(states, out.lengths.tolist()):
            kept = (one[0, :n] if len(self.layers) == 1 else one[:, :n]).contiguous()
            yield kept.half() if self.half else kept


def write_all(extraction: Extraction, targets: dict[Path, Path], out: Path) -> int:
    """Write the features of each sound file to its target.

    Files that cannot be read are listed in out/skipped.jsonl; returns their number.
    """
    skipped = []
    with Progress(total=len(targets), unit="file", desc="states", dynamic_ncols=True, disable=not targets) as bar:
        for file, content in extraction(list(targets)):
            if isinstance(content, str):
                skipped.append({"file": str(file), "reason": content})
            else:
                write(content, targets[file])
            bar.update()
    if skipped:
        write_text(out / "skipped.jsonl", "".join(json.dumps(entry) + "\n" for entry in skipped))
    else:
        (out / "skipped.jsonl").unlink(missing_ok=True)  # of an earlier call
    return len(skipped)


def write(content: dict, target: Path) -> None:
    """Write an .npz or .pt file, whole or not at all."""
    if target.suffix == ".pt":
        write_atomically(content, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {name: numpy.asarray(value) for name, value in content.items()}
        numpy.savez(file, **arrays)


def find_sounds(given: list[Path], out: Path, suffix: str) -> dict[Path, Path]:
    """Return sound file → the file to write, for sound files and for all those in folders.

    Raises:
        InputError: something is not there, a folder holds no sound, or two sounds would go to one file.
    """
    pairs = []
    for path in given:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SOUND)
            if not inside:
                raise InputError(f"{path}: holds no sound file ({', '.join(sorted(SOUND))})")
            pairs += [(file, out / file.relative_to(path).with_suffix(suffix)) for file in inside]
        elif path.is_file():
            pairs.append((path, out / f"{path.stem}{suffix}"))
        else:
            raise InputError(f"{path}: no such file or folder")
    targets: dict[Path, Path] = {}
    for file, target in pairs:
        if targets.setdefault(target, file) != file:
            raise InputError(
                f"{targets[target]} and {file} would both be written to {target}; extract them to two folders"
            )
    return {file: target for target, file in targets.items()}


def read_layers(text: str, count: int) -> list[int]:
    """Return the layers that `last`, `all` or numbers with commas name; negative numbers count from the end.

    Raises:
        InputError: the text is none of these, or the encoder has no such layer; `count` layers are known.
    """
    if text in ("all", "last"):
        return list(range(count)) if text == "all" else [count - 1]
    try:
        layers = [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--layers {text}: give last, all, or numbers such as 4,8") from None
    if not all(-count <= layer < count for layer in layers):
        raise InputError(f"--layers {text}: this encoder has the layers 0 to {count - 1}")
    return [layer % count for layer in layers]


def keep_to_settings(out: Path, settings: dict, afresh: set[Path] | None = None) -> None:
    """Note the settings in the folder, which holds features of one encoder and one choice of layers.

    Args:
        out: the folder.
        settings: see Extraction.settings.
        afresh: files to make again. If they have other settings they are deleted first: else a call that is
            interrupted would leave some that the next one takes for its own.

    Raises:
        InputError: it holds features of other settings that are not made afresh.
    """
    file = out / "extract.json"
    if file.is_file() and not _holds(file, settings):
        what = f"{out}: holds features of another encoder, other layers, hop or precision"
        if afresh is None:
            raise InputError(f"{what}; give another --out, or --fresh")
        there = {path for suffix in SUFFIXES for path in out.rglob(f"*{suffix}")}
        if left := sorted(there - afresh):
            raise InputError(
                f"{what}, and --fresh would keep {len(left)} of them, such as {left[0]}; delete them first"
            )
        for path in there:
            path.unlink()
    out.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(settings, indent=2) + "\n")


def _holds(file: Path, settings: dict) -> bool:
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")) == settings)
    except ValueError:  # damaged
        return False


def _decode(file: Path) -> Tensor | str:
    try:
        return decode_whole(file)
    except MediaError as error:
        return str(error)


def _batches(wavs: dict[Path, Tensor], batch_s: float) -> Iterator[list[Path]]:
    """Yield the files of each batch; padding costs the encoder nothing, so their order does not matter."""
    batch: list[Path] = []
    seconds = 0.0
    for name, wav in wavs.items():
        if batch and seconds + len(wav) / SAMPLE_RATE > batch_s:
            yield batch
            batch, seconds = [], 0.0
        batch.append(name)
        seconds += len(wav) / SAMPLE_RATE
    if batch:
        yield batch
