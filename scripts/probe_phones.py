"""Probe encoders for phones: train S3PRL's phone recognition on each layer alone, and compare the error rates."""

import argparse
import signal
import sys
from pathlib import Path

from mmpt.scripts.samples.locate import built_samples
from mmpt.superb import options as opt
from mmpt.superb.encoders import read_encoders
from mmpt.superb.results_folder import output_folder
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError

EXAMPLES = """\
examples:
  python scripts/probe_phones.py --ckpt untrained.pt --ckpt runs/pretrain/clr/encoder.pt --out runs/phones
  python scripts/probe_phones.py --ckpt a=a.pt --encoder w=hf:/models/whisper-base --layers 0,3,6 --out runs/phones

The first encoder is the one that the others are compared with. OUT gets phone_probe.json, phone_probe.md and
figures/phone_probe.png. The same command resumes after an interruption.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    opt.add_encoder_flags(p)
    add = p.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    add("--layers", metavar="LIST", help="layers to probe, 0 the input of the first block (default: all)")
    add("--lr", default="3e-3,1e-2", metavar="LIST", help="rates to choose from on dev (default: %(default)s)")
    add("--seed", type=int, default=1337, metavar="N", help="of the heads (default: %(default)s)")
    add("--steps", type=int, metavar="N", help="of each head (default: the configuration's)")
    add("--data-root", metavar="DIR", help="folder of the corpora; default: data.yaml, else the built samples")
    add("--cache", metavar="DIR", help="keep the encoders' states here, for all layers and rates")
    add("--jobs", type=int, default=1, metavar="N", help="heads at a time (default: %(default)s)")
    add("--device", choices=["cuda", "cpu"], help="default: cuda if available")
    add("--fresh", action="store_true", help="delete what the jobs of this command left in OUT first")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Probe, write and print; return the exit status."""
    arguments = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the jobs as Ctrl-C does
    out, encoders = output_folder(arguments.out), read_encoders(arguments.encoders)
    rates, [seed] = opt.read_numbers(arguments.lr, str(arguments.seed))
    layers = read_layers(arguments.layers)
    if arguments.jobs < 1 or (arguments.steps is not None and arguments.steps < 1):
        raise InputError("--jobs and --steps must be at least 1")

    from mmpt.study.phone_probe import probe
    from mmpt.study.phone_probe_page import CAPTION, probe_figure, probe_text
    from mmpt.superb.executor import executor_for
    from mmpt.superb.report import style
    from mmpt.superb.report.rendering import draw
    from mmpt.upstream.files import write_text
    from mmpt.upstream.s3prl_runner.launcher import best_device

    options = opt.Options(
        data_root=opt.absolute(arguments.data_root),
        device=arguments.device or best_device(),
        cache=opt.absolute(arguments.cache),
        limit=arguments.steps,
        samples=built_samples,
    )
    executor = executor_for("local", out, {}, cpus=1, gpus=int(options.device == "cuda"))
    content = probe(encoders, rates, seed, out, options, executor, arguments.jobs, layers, arguments.fresh)
    text = probe_text(content)
    write_text(out / "phone_probe.md", text)
    with style.pyplot.rc_context(style.SETTINGS):
        draw(out, "phone_probe", probe_figure(content["layers"]), CAPTION)
    print(f"\n{text}\nWritten: {out / 'phone_probe.md'}")
    return 0


def read_layers(text: str | None) -> list[int]:
    """Return the numbers of a list with commas; none without one. Raises InputError."""
    if text is None:
        return []
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise InputError(f"--layers {text}: numbers with commas between were expected, such as 0,3,6")
    return [int(word) for word in words]


if __name__ == "__main__":
    sys.exit(main())
