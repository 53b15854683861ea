"""Write an encoder's states of sound files, as features for any other use."""

import argparse
import os
import sys
from pathlib import Path

from mmpt.upstream import threads
from mmpt.upstream.command import clean_exit
from mmpt.upstream.default_encoder import default_encoder
from mmpt.upstream.mmpt_av.config import FRAME_HOPS, PRECISIONS

EXAMPLES = """\
examples:
  python scripts/extract.py a.wav b.flac --ckpt encoder.pt --out features     the last block's states: a.npz, b.npz
  python scripts/extract.py LibriSpeech/dev-clean --ckpt encoder.pt --out features --layers all --format pt
  python -c "import numpy; f = numpy.load('features/a.npz'); print(f['states'].shape, f['hop'])"

Each file holds `states` (T, C), or (layers, T, C) for more than one layer; `samples` of the sound at 16 kHz; `hop`, the
samples under a state; and `layers` (0 is the input of the first block). A folder is searched for sound files, and its
structure is kept. Sound of any rate and number of channels is mixed to 16 kHz mono. Existing files are kept.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("sounds", nargs="+", type=Path, metavar="WAVS", help="sound files, or folders of them")
    p.add_argument(
        "--ckpt",
        metavar="FILE",
        help="an encoder checkpoint; default: $MMPT_AV_CKPT, else the newest runs/**/encoder.pt that is "
        "trained and not a study's, else the repository's samples/encoders/demo.pt",
    )
    p.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the features")
    p.add_argument(
        "--layers", default="last", metavar="LIST", help="last, all, or numbers such as 0,8,-1; default: %(default)s"
    )
    p.add_argument("--format", choices=["npz", "pt"], default="npz", help="default: %(default)s")
    p.add_argument("--half", action="store_true", help="write float16 instead of float32")
    p.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="precision of the arithmetic; bfloat16 is faster on hardware that has it, and moves states by some "
        "0.01 to 0.04; default: %(default)s",
    )
    p.add_argument(
        "--frame-hop", type=int, choices=FRAME_HOPS, help="samples under a state, in place of the checkpoint's"
    )
    p.add_argument(
        "--batch-s", type=float, default=60, metavar="S", help="seconds of sound in a batch; default: %(default)s"
    )
    p.add_argument("--device", choices=["cuda", "cpu"], help="default: cuda if available")
    p.add_argument("--fresh", action="store_true", help="make existing files again")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Extract features; return the exit status, 1 if files could not be read."""
    arguments = parser().parse_args(argv)
    if arguments.ckpt is None:
        arguments.ckpt, note = default_encoder(Path.cwd(), os.environ, "--ckpt")
        print(note)
    threads.prepare_for_model(threads.checkpoint_parameters(Path(arguments.ckpt)))

    from mmpt.scripts.extraction import Extraction, find_sounds, keep_to_settings, read_layers, write_all
    from mmpt.upstream.mmpt_av import load_encoder
    from mmpt.upstream.s3prl_runner.launcher import best_device

    encoder = load_encoder(arguments.ckpt).to(arguments.device or best_device())
    encoder.hop = arguments.frame_hop or encoder.hop
    layers = read_layers(arguments.layers, encoder.config.n_layers + 1)
    extraction = Extraction(encoder, layers, arguments.batch_s, arguments.precision, arguments.half)
    targets = find_sounds(arguments.sounds, arguments.out, f".{arguments.format}")
    keep_to_settings(arguments.out, extraction.settings(), set(targets.values()) if arguments.fresh else None)
    todo = {file: target for file, target in targets.items() if arguments.fresh or not target.is_file()}
    if done := len(targets) - len(todo):
        print(f"{done} of {len(targets)} files were done before")
    skipped = write_all(extraction, todo, arguments.out)
    if skipped:
        print(f"{skipped} files could not be read, see {arguments.out / 'skipped.jsonl'}", file=sys.stderr)
    what = f"layer{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}, a state every {encoder.hop} samples"
    print(f"{len(todo) - skipped} files written to {arguments.out}: {what}")
    return int(bool(skipped))


if __name__ == "__main__":
    sys.exit(main())
