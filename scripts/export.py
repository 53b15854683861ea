"""Writes an encoder checkpoint (encoder.pt): out of a training run, an untrained one to compare with, or one with states twice as dense."""

import argparse
import sys
from pathlib import Path

import torch

from mmpt.training.checkpoints import Checkpoints, export_encoder, read_checkpoint
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, load_encoder, save_encoder
from mmpt.upstream.mmpt_av.checkpoint import FORMAT, read_plain
from mmpt.upstream.mmpt_av.config import FRAME_HOPS, PRESETS
from mmpt.upstream.repository import git_revision

EXAMPLES = """\
examples:
  python scripts/export.py runs/midtrain/it-samples --out encoder.pt --which best
  python scripts/export.py runs/pretrain/clr-samples/checkpoints/best.pt --out encoder.pt
  python scripts/export.py --untrained tiny --seed 0 --out untrained.pt
  python scripts/export.py encoder.pt --frame-hop 320 --out encoder_20ms.pt
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "run",
        nargs="?",
        type=Path,
        metavar="RUN",
        help="run folder of stage 1 or 2, one training checkpoint of it, or an encoder checkpoint",
    )
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="the encoder checkpoint to write")
    p.add_argument(
        "--which",
        choices=["last", "best", "average"],
        help="which of a run folder's checkpoints (default: what the run's `export` says)",
    )
    p.add_argument(
        "--untrained",
        choices=sorted(PRESETS),
        metavar="PRESET",
        help="instead of a run: random weights of these sizes (base or tiny)",
    )
    p.add_argument("--seed", type=int, default=0, help="of --untrained's weights (default: 0)")
    p.add_argument(
        "--frame-hop",
        type=int,
        choices=FRAME_HOPS,
        help="samples under one state: 640 (40 ms), or 320 with states interpolated between (default: as it was, 640 in training)",
    )
    p.add_argument("--fresh", action="store_true", help="replace FILE if it is there")
    return p


def is_encoder(file: Path) -> bool:
    """Whether the file is an encoder checkpoint already, and not a training checkpoint."""
    content = read_plain(file)
    return isinstance(content, dict) and content.get("format") == FORMAT


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Exports; returns the exit status."""
    arguments = parser().parse_args(argv)
    if (arguments.run is None) == (arguments.untrained is None):
        raise InputError("give either a RUN or --untrained PRESET")
    if arguments.out.exists() and not arguments.fresh:
        raise InputError(f"{arguments.out}: is there already; --fresh replaces it")
    if arguments.untrained:
        torch.manual_seed(arguments.seed)
        encoder = Encoder(EncoderConfig.preset(arguments.untrained))
        encoder.hop = arguments.frame_hop or encoder.hop
        stage = {
            "stage": "untrained",
            "preset": arguments.untrained,
            "seed": arguments.seed,
            "steps": 0,
            "revision": git_revision(),
            "parent_sha256": None,
        }
        save_encoder(encoder, arguments.out, {"stages": [stage]})
    elif arguments.run.is_dir():
        checkpoints = Checkpoints(arguments.run)
        settings = read_checkpoint(checkpoints.select("last", keep=1)[0])["settings"]
        export_encoder(
            checkpoints.select(arguments.which or settings["export"], settings["keep_checkpoints"]),
            arguments.out,
            arguments.frame_hop,
        )
    elif is_encoder(arguments.run):
        encoder = load_encoder(arguments.run)
        encoder.hop = arguments.frame_hop or encoder.hop
        save_encoder(encoder, arguments.out, encoder.provenance)
    else:
        export_encoder([arguments.run], arguments.out, arguments.frame_hop)
    print(f"Encoder: {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
