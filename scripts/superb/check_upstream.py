"""Check that an upstream, ours or another's, is what S3PRL's runner expects."""

import argparse
import sys

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.encoder_names import FORM, EncoderName, resolve, split

EXAMPLES = """\
examples:
  python scripts/superb/check_upstream.py mmpt_av:encoder.pt
  python scripts/superb/check_upstream.py fbank
  python scripts/superb/check_upstream.py mmpt_av:encoder.pt:options.yaml --long 600
  python scripts/superb/check_upstream.py hf:/models/wavlm-base             an encoder of transformers
  python scripts/superb/check_upstream.py wav2vec2_url:https://host/x.pt    a checkpoint that S3PRL downloads
  python scripts/superb/check_upstream.py my_experts/good                   my_experts/good/expert.py, one of your own

pass: as it should be. warn: the runner works, but read on. FAIL: the runner would stop, or give wrong figures.
Exit status: 0 no FAIL, 1 a FAIL, 2 bad input.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("encoder", nargs="?", metavar=FORM, help="the encoder, as in `mmpt superb run --encoder`")
    p.add_argument("-u", "--upstream", metavar="NAME", help="the same, as in run_downstream.py")
    p.add_argument("-k", "--upstream_ckpt", metavar="CKPT", help="its checkpoint, if it needs one")
    p.add_argument("-g", "--upstream_model_config", metavar="FILE", help="its configuration, if it needs one")
    p.add_argument("--long", type=int, default=60, metavar="S", help="seconds of the long input; default: %(default)s")
    p.add_argument("--device", choices=["cuda", "cpu"], help="default: cuda if available")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Check and print; return the exit status."""
    arguments = parser().parse_args(argv)
    name = encoder_name(arguments)
    from mmpt.superb.upstream_contract import FAIL, Upstream, check_contract
    from mmpt.upstream.s3prl_runner import building
    from mmpt.upstream.s3prl_runner.launcher import best_device

    failed, upstream = False, building.build(name)
    for verdict in check_contract(Upstream(upstream, arguments.device or best_device()), arguments.long):
        print(f"{verdict.level}  {verdict.expected}: {verdict.seen}")
        failed |= verdict.level == FAIL
    return int(failed)


def encoder_name(arguments: argparse.Namespace) -> EncoderName:
    """Return the encoder of the command line. Raises InputError."""
    if (arguments.encoder is None) == (arguments.upstream is None):
        raise InputError(f"give one encoder, {FORM}")
    typed = split(arguments.encoder or arguments.upstream)
    checkpoint, config = arguments.upstream_ckpt or typed.checkpoint, arguments.upstream_model_config or typed.config
    return resolve(EncoderName(typed.upstream, checkpoint, config))


if __name__ == "__main__":
    sys.exit(main())
