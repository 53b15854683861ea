"""Time training on a busy machine: updates of stages 1 and 2 on the samples, alone and beside processes that compute.

Each setting is a fresh process for each stage. It trains some updates alone, then beside one and beside three processes
that run `while True: pass`. The settings take turns, round by round. The ratios are of the time for a clip or frame to
what the setting `before` took alone in the same round: the median, and least to most. Run it on an idle machine.

`before` is how the commands ran once: the libraries' threads (one for each core), memory given back at once, an
optimiser that visits one tensor after another, linear layers and the decoder's dropout as PyTorch computes them, means
of pictures by one sum, batches cut between updates. The other settings but `chosen` are that with an environment
variable. `chosen` is what the commands do now, see upstream/threads.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from statistics import median

from mmpt.scripts.benchmark.comma_list import numbers
from mmpt.scripts.samples.locate import built_samples
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError

SETTINGS: dict[str, dict[str, str]] = {
    "before": {},
    "chosen": {},
    "one-thread": {"OMP_NUM_THREADS": "1"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "spin-1000": {"GOMP_SPINCOUNT": "1000"},
    "spin-10000": {"GOMP_SPINCOUNT": "10000"},
}
AS_BEFORE = [name for name in SETTINGS if name != "chosen"]
LIMITS = {0: 1.05, 1: 1.5, 3: 4.0}  # busy processes → what the chosen setting may take, `before` alone being 1
UPDATES = {1: 20, 2: 40}  # of each stage under each load: some five seconds
TITLES = {1: "stage 1, clr", 2: "stage 2, it"}
EXAMPLES = """\
examples:
  python scripts/benchmark/contention.py                      some eight minutes on two cores
  python scripts/benchmark/contention.py --settings before,chosen,one-thread,passive,spin-1000,spin-10000 --rounds 2
  python scripts/benchmark/contention.py --stages 2 --busy-before      how training collapsed: takes long
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--rounds", type=int, default=4, help="(default: %(default)s)")
    p.add_argument("--stages", type=numbers, default="1,2", metavar="LIST", help="(default: %(default)s)")
    p.add_argument(
        "--settings",
        default="before,chosen",
        metavar="LIST",
        help=f"of {', '.join(SETTINGS)} (default: %(default)s)",
    )
    p.add_argument("--updates", type=float, default=1.0, help="times as many updates (default: %(default)s)")
    p.add_argument("--busy-before", action="store_true", help="put `before` beside busy processes, too")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Measure and print; return 1 if the chosen setting misses a limit."""
    options = parser().parse_args(argv)
    stages, settings = options.stages, options.settings.split(",")
    if not set(stages) <= set(UPDATES) or not set(settings) <= set(SETTINGS) or options.rounds < 1:
        raise InputError(f"--stages are of 1,2, --settings of {','.join(SETTINGS)}, --rounds at least 1")
    if "before" not in settings:
        raise InputError("--settings: all others are compared with `before`, which is missing")
    built_samples()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} cores; load before (1, 5 and 15 minutes): {load}", flush=True)
    missed = [measure(stage, settings, options) for stage in stages]
    return int(any(missed))


def measure(stage: int, settings: list[str], options: argparse.Namespace) -> bool:
    """Measure a stage and print its ratios; return whether the chosen setting misses a limit."""
    updates = max(1, round(UPDATES[stage] * options.updates))
    times: dict[tuple[str, int], list[float]] = {}
    ratios: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        alone = 0.0
        for setting in sorted(settings, key=lambda name: name != "before"):
            loads = [0] if setting == "before" and not options.busy_before else list(LIMITS)
            for load, seconds in train(stage, setting, loads, updates).items():
                alone = alone or seconds
                times.setdefault((setting, load), []).append(seconds)
                ratios.setdefault((setting, load), []).append(seconds / alone)
    print(f"\n{TITLES[stage]}: {updates} updates each, {options.rounds} rounds; time over that of `before` alone")
    print(f"{'setting':12}{'busy beside it':>15}{'ms a unit':>12}{'ratio (least to most)':>27}  limit")
    missed = False
    for (setting, load), found in ratios.items():
        limit = LIMITS[load] if setting == "chosen" else None
        verdict = "" if limit is None else f"{limit:g}" + (" MISSED" if median(found) > limit else "")
        missed |= verdict.endswith("MISSED")
        shown = f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
        print(f"{setting:12}{load:15}{median(times[setting, load]) * 1e3:12.4f}{shown:>27}  {verdict}", flush=True)
    return missed


def train(stage: int, setting: str, loads: list[int], updates: int) -> dict[int, float]:
    """Return seconds a unit (clip or frame) by number of busy processes, of a fresh training process."""
    chosen_by_user = ("OMP_", "GOMP_", "MKL_", "MALLOC_", "GLIBC_TUNABLES")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(chosen_by_user)}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "mmpt.scripts.benchmark.contention_training"]
        command += [str(stage), str(updates), ",".join(map(str, loads)), folder]
        command += ["--as-before"] if setting in AS_BEFORE else []
        done = subprocess.run(command, env=environment | SETTINGS[setting], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"stage {stage} could not be trained: {done.stderr.strip()[-500:]}")
    return {int(load): seconds for load, seconds in json.loads(done.stdout.splitlines()[-1]).items()}


if __name__ == "__main__":
    sys.exit(main())
