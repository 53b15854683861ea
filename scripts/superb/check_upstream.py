"""Check that an upstream, ours or another's, is what S3PRL's runner expects."""

import argparse
import sys

from mmpt.upstream.command import clean_exit

EXAMPLES = """\
examples:
  python scripts/superb/check_upstream.py -u mmpt_av -k encoder.pt
  python scripts/superb/check_upstream.py -u fbank
  python scripts/superb/check_upstream.py -u mmpt_av -k encoder.pt -g options.yaml --long 600

pass: as it should be. warn: the runner works, but read on. FAIL: the runner would stop, or give wrong figures.
Exit status: 0 no FAIL, 1 a FAIL, 2 bad input.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("-u", "--upstream", required=True, metavar="NAME", help="mmpt_av, or an upstream of S3PRL's")
    p.add_argument("-k", "--upstream_ckpt", metavar="CKPT", help="its checkpoint, if it needs one")
    p.add_argument("-g", "--upstream_model_config", metavar="FILE", help="its configuration, if it needs one")
    p.add_argument("--long", type=int, default=60, metavar="S", help="seconds of the long input; default: %(default)s")
    p.add_argument("--device", choices=["cuda", "cpu"], help="default: cuda if available")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Check and print; return the exit status."""
    arguments = parser().parse_args(argv)
    from mmpt.superb.upstream_contract import FAIL, check_contract, load_upstream
    from mmpt.upstream.s3prl_runner.launcher import best_device

    device = arguments.device or best_device()
    upstream = load_upstream(arguments.upstream, arguments.upstream_ckpt, arguments.upstream_model_config, device)
    failed = False
    for verdict in check_contract(upstream, arguments.long):
        print(f"{verdict.level}  {verdict.expected}: {verdict.seen}")
        failed |= verdict.level == FAIL
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
