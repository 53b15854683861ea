"""Writes an encoder's states of sound files: features for people who want no benchmark."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import torch
from torch import Tensor
from tqdm import tqdm

from mmpt.training.media import MediaError
from mmpt.training.media_sound import decode_whole
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.mmpt_av import Encoder, load_encoder
from mmpt.upstream.mmpt_av.cache import weights_hash
from mmpt.upstream.mmpt_av.checkpoint import write_atomically
from mmpt.upstream.mmpt_av.config import FRAME_HOPS
from mmpt.upstream.mmpt_av.expert import PRECISIONS
from mmpt.upstream.s3prl_runner.launcher import best_device

SOUND = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".webm"}
READ_AHEAD = 16  # files decoded at the same time
RATE = 16000
EXAMPLES = """\
examples:
  python scripts/extract.py a.wav b.flac --ckpt encoder.pt --out features                 the last block's states, a.npz and b.npz
  python scripts/extract.py /corpora/LibriSpeech/dev-clean --ckpt encoder.pt --out features --layers all --format pt
  python -c "import numpy; f = numpy.load('features/a.npz'); print(f['states'].shape, f['hop'])"

Each file holds `states` (T, C), or (layers, T, C) for more than one layer, `samples` (of the sound at 16 kHz), `hop` (samples
under a state) and `layers` (0 is the input of the first block). A folder is searched for sound files, and its structure kept.
Sound of any rate and number of channels is mixed to 16 kHz mono. What is there already is not made again.
"""


def extract(
    files: dict[Path, Path],
    encoder: Encoder,
    layers: list[int],
    device: str,
    batch_s: float,
    precision: str = "float32",
) -> Iterator[tuple[Path, dict | str]]:
    """(sound file, what to write, or why it cannot be read) for each of `files`.

    Args:
        files: sound file → where it goes. batch_s: seconds of sound in a batch; one longer file is a batch of its own.
        precision: of the products, float32 or bfloat16.
    """
    names = list(files)
    with ThreadPoolExecutor(READ_AHEAD) as pool:
        for first in range(0, len(names), READ_AHEAD):
            wavs: dict[Path, Tensor] = {}
            for name, wav in zip(
                names[first : first + READ_AHEAD], pool.map(_decode, names[first : first + READ_AHEAD])
            ):
                if isinstance(wav, str):
                    yield name, wav
                else:
                    wavs[name] = wav
            for batch in _batches(wavs, batch_s):
                with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                    out = encoder([wavs[name].to(device) for name in batch])
                states = torch.stack([out.hidden_states[layer] for layer in layers], dim=1).cpu()  # (B, layers, T, C)
                for name, one, n in zip(batch, states, out.lengths.tolist()):
                    kept = one[0, :n] if len(layers) == 1 else one[:, :n]
                    yield (
                        name,
                        {"states": kept.contiguous(), "samples": len(wavs[name]), "hop": encoder.hop, "layers": layers},
                    )


def find_sounds(given: list[Path], out: Path, suffix: str) -> dict[Path, Path]:
    """Sound file → the file to write.

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
    """`last`, `all`, or numbers with commas; negative ones count from the end."""
    if text in ("all", "last"):
        return list(range(count)) if text == "all" else [count - 1]
    try:
        layers = [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--layers {text}: give last, all, or numbers such as 4,8") from None
    if not all(-count <= layer < count for layer in layers):
        raise InputError(f"--layers {text}: this encoder has the layers 0 to {count - 1}")
    return [layer % count for layer in layers]


def write(content: dict, target: Path) -> None:
    """A whole .npz or .pt file, or none."""
    if target.suffix == ".pt":
        write_atomically(content, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.{os.getpid()}.npz")
    numpy.savez(half, **{name: numpy.asarray(value) for name, value in content.items()})
    os.replace(half, target)


def keep_to_settings(out: Path, settings: dict, fresh: bool) -> None:
    """A folder holds the features of one encoder and one choice of layers.

    Raises:
        InputError: it holds others.
    """
    file = out / "extract.json"
    if not fresh and file.is_file() and json.loads(file.read_text(encoding="utf-8")) != settings:
        raise InputError(
            f"{out}: holds features of another encoder, other layers, hop or precision; give another --out, or --fresh"
        )
    out.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(settings, indent=2) + "\n")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("sounds", nargs="+", type=Path, metavar="WAVS", help="sound files, or folders of them")
    p.add_argument("--ckpt", required=True, metavar="FILE", help="an encoder checkpoint")
    p.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the features go")
    p.add_argument(
        "--layers", default="last", metavar="LIST", help="last, all, or numbers such as 0,8,-1; default: %(default)s"
    )
    p.add_argument("--format", choices=["npz", "pt"], default="npz", help="default: %(default)s")
    p.add_argument("--half", action="store_true", help="write float16 instead of float32")
    p.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="of the arithmetic; bfloat16 is faster where the device has it, and moves states by some 0.01 to 0.04; default: %(default)s",
    )
    p.add_argument(
        "--frame-hop", type=int, choices=FRAME_HOPS, help="samples under a state, in place of the checkpoint's"
    )
    p.add_argument(
        "--batch-s", type=float, default=60, metavar="S", help="seconds of sound in a batch; default: %(default)s"
    )
    p.add_argument("--device", choices=["cuda", "cpu"], help="default: cuda where there is one")
    p.add_argument("--fresh", action="store_true", help="make again what is there")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Extracts; returns the exit status: 1 when files could not be read."""
    arguments = parser().parse_args(argv)
    device = arguments.device or best_device()
    encoder = load_encoder(arguments.ckpt).to(device)
    encoder.hop = arguments.frame_hop or encoder.hop
    layers = read_layers(arguments.layers, encoder.config.n_layers + 1)
    targets = find_sounds(arguments.sounds, arguments.out, f".{arguments.format}")
    settings = {"weights": weights_hash(encoder), "hop": encoder.hop, "layers": layers, "half": arguments.half}
    settings |= (
        {"precision": arguments.precision} if arguments.precision != "float32" else {}
    )  # folders of before the choice have none
    keep_to_settings(arguments.out, settings, arguments.fresh)
    todo = {file: target for file, target in targets.items() if arguments.fresh or not target.is_file()}
    if done := len(targets) - len(todo):
        print(f"{done} of {len(targets)} files were done before")
    skipped = []
    with tqdm(total=len(todo), unit="file", desc="states", dynamic_ncols=True, disable=not todo) as bar:
        for file, content in extract(todo, encoder, layers, device, arguments.batch_s, arguments.precision):
            if isinstance(content, str):
                skipped.append({"file": str(file), "reason": content})
            else:
                content["states"] = content["states"].half() if arguments.half else content["states"]
                write(content, todo[file])
            bar.update()
    if skipped:
        write_text(arguments.out / "skipped.jsonl", "".join(json.dumps(entry) + "\n" for entry in skipped))
        print(f"{len(skipped)} files could not be read, see {arguments.out / 'skipped.jsonl'}", file=sys.stderr)
    what = f"layer{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}, a state every {encoder.hop} samples"
    print(f"{len(todo) - len(skipped)} files written to {arguments.out}: {what}")
    return int(bool(skipped))


def _decode(file: Path) -> Tensor | str:
    try:
        return decode_whole(file)
    except MediaError as error:
        return str(error)


def _batches(wavs: dict[Path, Tensor], batch_s: float) -> Iterator[list[Path]]:
    """Files that fit a batch together; padding costs the encoder nothing, so their order does not matter."""
    batch, seconds = [], 0.0
    for name, wav in wavs.items():
        if batch and seconds + len(wav) / RATE > batch_s:
            yield batch
            batch, seconds = [], 0.0
        batch.append(name)
        seconds += len(wav) / RATE
    if batch:
        yield batch


if __name__ == "__main__":
    sys.exit(main())
