"""Count an encoder's parameters and MACs by SUPERB's official recipe, over 32 utterances in four buckets of length."""

import argparse
import json
import sys
from pathlib import Path

from mmpt.upstream.command import clean_exit
from mmpt.upstream.s3prl_runner.encoder_names import FORM, read

EXAMPLES = """\
examples:
  python scripts/superb/cost.py runs/quickstart/midtrained/encoder.pt
  python scripts/superb/cost.py encoder.pt --json cost.json
  python scripts/superb/cost.py --encoder hf:/models/wavlm-base     any encoder that `mmpt superb run` takes
  python scripts/superb/cost.py --encoder my_experts/good:weights.pt
  python scripts/superb/cost.py --hubert-base        a check: HuBERT base of transformers, whose MACs the board knows

MACs are those of matrix products and convolutions as PyTorch runs them. FFTs and element-wise arithmetic are left out,
as in the official recipe. The waveforms are noise of the official lengths: a count depends on lengths alone.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("checkpoint", nargs="?", type=Path, metavar="encoder.pt", help="an encoder checkpoint of ours")
    what.add_argument("--encoder", metavar=FORM, help="any encoder: fbank, hf:DIR, a folder with an expert.py")
    what.add_argument("--hubert-base", action="store_true", help="measure transformers' HuBERT base instead")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    arguments = parser().parse_args(argv)
    name = read(arguments.encoder) if arguments.encoder else None
    from mmpt.superb.cost import describe_cost, encoder_cost, hubert_base, upstream_cost
    from mmpt.upstream.files import write_text

    if name:
        from mmpt.upstream.s3prl_runner.building import build

        cost = upstream_cost(build(name))
    else:
        cost = hubert_base() if arguments.hubert_base else encoder_cost(arguments.checkpoint)
    print(describe_cost(cost))
    if arguments.json:
        content = {"parameters": cost.parameters, "macs": cost.macs, "macs_total": cost.total}
        write_text(arguments.json, json.dumps(content, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
