"""Make an encoder checkpoint (encoder.pt) of a fairseq `s2t_conformer` model, for stage 2 (--init) or S3PRL's runner.

Models with absolute positions and fairseq's own attention fit our encoder weight by weight. Others are refused with a
reason.
"""

import argparse
import sys
from pathlib import Path

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError

EXAMPLES = """\
examples:
  python scripts/import_fairseq.py checkpoint_best.pt --out encoder.pt
  python scripts/import_fairseq.py checkpoint_best.pt --out encoder.pt --global-cmvn gcmvn.npz
  python midtrain/run.py --target-lang de --data data/must_c_de --init encoder.pt

How features are normalised is in fairseq's data config, not in its checkpoint. Without --global-cmvn, utterance_cmvn is
assumed. Checkpoints of newer fairseq versions may hold configuration objects that cannot be read safely; the error then
describes how to save them again.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("checkpoint", type=Path, metavar="CKPT", help="fairseq's checkpoint, old (args) or new (cfg)")
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="the encoder checkpoint to write")
    p.add_argument(
        "--global-cmvn",
        type=Path,
        metavar="NPZ",
        help="fairseq's gcmvn.npz (mean and std), if the model was trained with global_cmvn",
    )
    p.add_argument("--fresh", action="store_true", help="replace FILE if it exists")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Import a model; return the exit status."""
    arguments = parser().parse_args(argv)
    if arguments.out.exists() and not arguments.fresh:
        raise InputError(f"{arguments.out}: is there already; --fresh replaces it")

    from mmpt.scripts.fairseq_checkpoint import convert, encoder_config, read_fairseq, stage
    from mmpt.upstream.mmpt_av import save_encoder

    source = read_fairseq(arguments.checkpoint)
    config = encoder_config(source, arguments.global_cmvn)
    encoder, left_out = convert(source, config)
    save_encoder(encoder, arguments.out, {"stages": [stage(source)]})
    number = sum(p.numel() for p in encoder.parameters())
    per = "utterance" if config.normalisation == "utterance" else "corpus (global)"
    print(
        f"{source.path}: {config.n_layers} layers of width {config.d_model}, {config.n_heads} heads, "
        f"{number / 1e6:.2f} M parameters, features normalised per {per}"
    )
    for group, count in left_out.items():
        print(f"left out: {group} ({count} key{'s' * (count > 1)})")
    print(f"Encoder: {arguments.out}\nNext: python midtrain/run.py --target-lang it --init {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
