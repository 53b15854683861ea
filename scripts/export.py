"""Write an encoder checkpoint (encoder.pt): of a training run, untrained, with denser states, or at half the size."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import FRAME_HOPS, PRESETS
from mmpt.upstream.repository import samples_folder

if TYPE_CHECKING:
    from mmpt.upstream.mmpt_av import Encoder

EXAMPLES = """\
examples:
  python scripts/export.py runs/midtrain/it-samples --out encoder.pt --which best
  python scripts/export.py runs/pretrain/clr-samples/checkpoints/best.pt --out encoder.pt
  python scripts/export.py --untrained tiny --seed 0 --out untrained.pt
  python scripts/export.py encoder.pt --frame-hop 320 --out encoder_20ms.pt
  python scripts/export.py encoder.pt --half --out encoder_half.pt
  python scripts/export.py runs/fairseq.pt --balance --out balanced.pt
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "run",
        nargs="?",
        type=Path,
        metavar="RUN",
        help="run folder of stage 1 or 2, one of its training checkpoints, or an encoder checkpoint",
    )
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="the encoder checkpoint to write")
    p.add_argument(
        "--which",
        choices=["last", "best", "average"],
        help="which checkpoints of a run folder (default: the run's setting `export`)",
    )
    p.add_argument(
        "--untrained",
        choices=sorted(PRESETS),
        metavar="PRESET",
        help=f"instead of a run: random weights of these sizes ({', '.join(sorted(PRESETS))})",
    )
    p.add_argument("--seed", type=int, default=0, help="seed of the --untrained weights (default: 0)")
    p.add_argument(
        "--frame-hop",
        type=int,
        choices=FRAME_HOPS,
        help="samples under one state: 640 (40 ms), or 320 with states interpolated between them "
        "(default: unchanged; runs have 640)",
    )
    p.add_argument(
        "--data",
        type=Path,
        metavar="MANIFEST",
        help="where the clips of a masked run are now, or its folder of shards (default: where the run had them); the "
        "batch statistics of its encoder are estimated over them, without masks",
    )
    p.add_argument(
        "--half",
        action="store_true",
        help="round the weights to float16: half the file; they load as float32, and states move by their rounding",
    )
    p.add_argument(
        "--balance",
        action="store_true",
        help="of an encoder checkpoint: scale the first hidden state to the size of the others, which stay the same; "
        "heads that weigh all states then learn sooner. Encoders of runs have that in any case",
    )
    p.add_argument("--fresh", action="store_true", help="replace FILE if it exists")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Export an encoder; return the exit status."""
    arguments = parser().parse_args(argv)
    if (arguments.run is None) == (arguments.untrained is None):
        raise InputError("give either a RUN or --untrained PRESET")
    if arguments.out.exists() and not arguments.fresh:
        raise InputError(f"{arguments.out}: is there already; --fresh replaces it")
    is_file = arguments.run is not None and arguments.run.is_file()
    if arguments.balance and not (is_file and is_encoder(arguments.run)):
        raise InputError("--balance is for encoder checkpoints: those of runs are balanced in any case")
    if arguments.untrained:
        require_no_data(arguments.data, "--untrained")
        write_untrained(arguments.untrained, arguments.seed, arguments.out, arguments.frame_hop, arguments.half)
    elif arguments.balance:
        require_no_data(arguments.data, arguments.run)
        write_balanced(arguments.run, arguments.out, arguments.frame_hop, arguments.half)
    else:
        export(arguments.run, arguments.which, arguments.out, arguments.frame_hop, arguments.data, arguments.half)
    print(f"Encoder: {arguments.out}")
    return 0


def write_untrained(preset: str, seed: int, out: Path, frame_hop: int | None = None, half: bool = False) -> None:
    """Write an encoder with random weights."""
    import torch

    from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
    from mmpt.upstream.repository import git_revision

    torch.manual_seed(seed)
    encoder = Encoder(EncoderConfig.preset(preset))
    encoder.hop = frame_hop or encoder.hop
    stage = {"stage": "untrained", "preset": preset, "seed": seed, "steps": 0}
    save_encoder(encoder, out, {"stages": [{**stage, "revision": git_revision(), "parent_sha256": None}]}, half)


def write_balanced(source: Path, out: Path, frame_hop: int | None, half: bool) -> None:
    """Write an encoder checkpoint again, with a first state of the others' size."""
    from mmpt.upstream.mmpt_av import load_encoder, save_encoder
    from mmpt.upstream.mmpt_av.balance import balance

    encoder = load_encoder(source)
    encoder.hop = frame_hop or encoder.hop
    factor = balance(encoder)
    for stage in encoder.provenance.get("stages", [])[-1:]:
        stage["first_state_scaled"] = factor * stage.get("first_state_scaled", 1.0)
    save_encoder(encoder, out, encoder.provenance, half)


def export(source: Path, which: str | None, out: Path, frame_hop: int | None, data: Path | None, half: bool) -> None:
    """Write the encoder of a run folder, of a training checkpoint or of an encoder checkpoint.

    Args:
        source: the folder or file.
        which: "last", "best" or "average" of a run folder; None for what the run's settings name.
        out: the encoder checkpoint to write.
        frame_hop: samples under one state; None leaves it as it is.
        data: the clips of a run of stage 1; None for where the run had them.
        half: round the weights to float16.
    """
    from mmpt.training.checkpoints import Checkpoints, export_encoder, read_checkpoint
    from mmpt.upstream.mmpt_av import load_encoder, save_encoder

    if source.is_dir():
        settings = read_checkpoint(Checkpoints(source).select("last")[0])["settings"]
        checkpoints = Checkpoints(source, settings["keep_checkpoints"], settings["patience"])
        files = checkpoints.select(which or settings["export"])
        export_encoder(files, out, frame_hop, finish_of(files[-1], data), half)
    elif is_encoder(source):
        require_no_data(data, source)
        encoder = load_encoder(source)
        encoder.hop = frame_hop or encoder.hop
        save_encoder(encoder, out, encoder.provenance, half)
    else:
        export_encoder([source], out, frame_hop, finish_of(source, data), half)


def finish_of(file: Path, data: Path | None) -> "Callable[[Encoder], dict[str, str]] | None":
    """Return how the run of a training checkpoint finishes its encoder; None if it leaves the encoder as it is.

    Args:
        file: the checkpoint.
        data: the run's clips; None for where the run had them. If they are gone from there, the encoder keeps the batch
            statistics of training.
    """
    from mmpt.pretrain.settings import PretrainSettings
    from mmpt.training.checkpoints import read_checkpoint
    from mmpt.training.settings import from_plain

    content = read_checkpoint(file)
    is_stage_1 = content["provenance"]["stages"][-1]["stage"] == "pretrain"
    settings = from_plain(PretrainSettings, content["settings"]) if is_stage_1 else None
    if settings is None or not settings.is_masked:
        require_no_data(data, file)
        return None

    from mmpt.pretrain.batch_statistics import training_clips, use_whole_clips
    from mmpt.training.device import use_device

    manifest = data or Path(settings.data.manifest or samples_folder() / "av" / "manifest.tsv")

    def finish(encoder: "Encoder") -> dict[str, str]:
        try:
            return use_whole_clips(encoder, training_clips(settings, manifest), use_device("auto"))
        except InputError as error:
            if data:
                raise
            print(f"warning: {error}. The encoder keeps the batch statistics of masked training", file=sys.stderr)
            print("         --data MANIFEST names the run's clips, for those of whole clips", file=sys.stderr)
            return {"batch_statistics": "masked"}

    return finish


def require_no_data(data: Path | None, what: object) -> None:
    """Raise InputError if --data is given for something whose batch statistics are exported as they are."""
    if data:
        raise InputError(f"{what}: --data is for runs of stage 1 with a masked objective (mae, mae+clr)")


def is_encoder(file: Path) -> bool:
    """Return True if the file is an encoder checkpoint already, and not a training checkpoint."""
    from mmpt.upstream.mmpt_av.checkpoint import FORMAT, read_plain

    content = read_plain(file)
    return isinstance(content, dict) and content.get("format") == FORMAT


if __name__ == "__main__":
    sys.exit(main())
