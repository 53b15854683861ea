"""Run all stages on the sample corpora: pre-train, mid-train, then KS, PR and ASR of each encoder through S3PRL."""

import argparse
import signal
import sys
import time

from mmpt.scripts.quickstart_report import write_report
from mmpt.scripts.quickstart_stages import RUNS, make_encoders, score_encoders
from mmpt.scripts.samples.locate import built_samples
from mmpt.training.stage_commands import run_command
from mmpt.upstream.command import clean_exit
from mmpt.upstream.files import remove_folder
from mmpt.upstream.repository import samples_folder


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--fresh",
        action="store_true",
        help="delete runs/quickstart and the built samples and start again (.venv is kept)",
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run the quickstart; return the exit status."""
    arguments = parser().parse_args(argv)
    started = time.time()
    if arguments.fresh:
        remove_folder(RUNS)
    RUNS.mkdir(parents=True, exist_ok=True)

    print("== Sample corpora", flush=True)
    if arguments.fresh:
        run_command("scripts/samples/build.py", "--out", str(samples_folder()), "--fresh")
    samples = built_samples()
    print(f"{samples} (real speech; the mouths of the audio-visual clips are rendered)")

    from mmpt.superb.executor import executor_for

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends what runs as Ctrl-C does
    executor = executor_for("local", RUNS, {}, cpus=1, gpus=0)
    results = score_encoders(make_encoders(samples, executor), samples, executor)
    print("\n" + write_report(RUNS, results, minutes=(time.time() - started) / 60))
    return 0


if __name__ == "__main__":
    sys.exit(main())
