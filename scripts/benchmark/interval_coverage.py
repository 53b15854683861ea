"""Check the intervals and tests of scores on made-up test sets whose truth is known.

Each design has the clusters, sizes and rates of one of the test sets that samples/ gives. For each, print in per cent:

- how often the 95 % interval holds the true score: 93 to 97 are wanted;
- the same for the percentiles of a plain bootstrap, which is not used, because it fails this;
- how often the paired test finds a difference between two encoders that are equally good: 3 to 7 are wanted;
- how often it finds the difference that it calls the smallest it could show: about 80 are wanted.

With one head seed, the truth is the score of this one head. With several, it is the mean over all heads that training
could have given. Each set has two encoders, so the first two figures count two intervals of each. Chance moves them by
some 0.6 points (one standard deviation) in 1,000 sets.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from mmpt.scripts.benchmark.made_up_scores import Design, Nature
    from mmpt.upstream.statistics.items import Items

RESAMPLES = 999
SEED = 19
EXAMPLES = """\
examples:
  python scripts/benchmark/interval_coverage.py                    all designs, 1,000 sets each: two minutes
  python scripts/benchmark/interval_coverage.py --designs "KS 30" SD --sets 200
  python scripts/benchmark/interval_coverage.py --seed-spread 0.15       heads differ by some 6 points
"""


@dataclass(frozen=True)
class Shares:
    """What was found in a design's sets, as shares of them."""

    interval: float
    percentiles: float
    level: float
    power: float
    smallest: float  # mean, as a share of items or units


def check(design: "Design", nature: "Nature", sets: int) -> Shares:
    """Make the sets, take every interval and test, and count."""
    import numpy as np

    from mmpt.superb.statistics.comparison import compare
    from mmpt.upstream.statistics.intervals import interval

    inside, inside_percentiles, false_alarms, smallest = [], [], [], []
    for first, second in design.sets(sets, nature):
        for items in (first, second):
            found = interval(items, resamples=RESAMPLES)
            inside.append(found.low <= design.score <= found.high)
            low, high = percentiles(items)
            inside_percentiles.append(low <= design.score <= high)
        difference = compare(first, second, resamples=RESAMPLES)
        false_alarms.append(difference.p < 0.05)
        smallest.append(difference.smallest or 0.0)
    apart = design.sets(sets, nature, shift=float(np.mean(smallest)))
    shown = [compare(first, second, resamples=RESAMPLES).p < 0.05 for first, second in apart]
    shares = [float(np.mean(values)) for values in (inside, inside_percentiles, false_alarms, shown, smallest)]
    return Shares(*shares)


def percentiles(items: "Items") -> "np.ndarray":
    """Return the interval of a plain bootstrap: clusters and seeds drawn with replacement."""
    import numpy as np

    from mmpt.upstream.statistics.clusters import Clusters

    random = np.random.default_rng(SEED)
    clusters = Clusters(items.clusters, items.units)
    [times] = clusters.draws(RESAMPLES, random)
    weights = clusters.weights(times)
    scores = weights @ clusters.sums(items.counts).T / (weights @ clusters.units)[:, None]
    seeds = random.integers(len(items.counts), size=scores.shape)
    return np.quantile(np.take_along_axis(scores, seeds, axis=1).mean(axis=1), (0.025, 0.975))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--designs", nargs="+", metavar="D", help="such as KS 30 (default: all)")
    p.add_argument("--sets", type=int, default=1000, help="of each (default: %(default)s)")
    p.add_argument("--seeds", type=int, nargs="+", default=[1, 3], help="head seeds (default: 1 3)")
    p.add_argument("--correlations", type=float, nargs="+", default=[0.02, 0.1], metavar="R", help="within clusters")
    p.add_argument(
        "--seed-spread",
        type=float,
        default=0.05,
        metavar="S",
        help="between several heads; 1 is that of items, 0.05 some 2 points of accuracy (default: %(default)s)",
    )
    p.add_argument("--json", action="store_true", help="print one JSON object a line, not a table")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Print the table; return the exit status."""
    options = parser().parse_args(argv)
    from mmpt.scripts.benchmark.made_up_scores import DESIGNS, Nature

    designs = options.designs or list(DESIGNS)
    if not set(designs) <= set(DESIGNS) or options.sets < 1 or min(options.seeds) < 1:
        raise InputError(f"--designs must be some of {', '.join(DESIGNS)}; --sets and --seeds at least 1")
    if not options.json:
        print("| design | seeds | correlation | interval | percentiles | level | power | smallest, points |")
        print("|---" * 8 + "|")
    for name in designs:
        for seeds in options.seeds:
            for correlation in options.correlations:
                nature = Nature(correlation, options.seed_spread if seeds > 1 else 0.0, seeds)
                shares = check(DESIGNS[name], nature, options.sets)
                print(row(name, nature, shares, options.json), flush=True)
    return 0


def row(name: str, nature: "Nature", shares: Shares, as_json: bool) -> str:
    """Return a line of the output, shares in per cent."""
    values = {field: round(100 * value, 1) for field, value in vars(shares).items()}
    if as_json:
        return json.dumps({"design": name, **vars(nature), **values})
    return f"| {name} | {nature.seeds} | {nature.correlation} | {' | '.join(map(str, values.values()))} |"


if __name__ == "__main__":
    sys.exit(main())
