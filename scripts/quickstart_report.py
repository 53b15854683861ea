"""What the quickstart ends with: report.md, and commands to try next."""

import textwrap
from pathlib import Path

from mmpt.upstream.files import write_text

WIDTH = 100  # of a terminal
NOTES = """\
The encoders that the quickstart trains are tiny, and trained for minutes. Their figures, on real speech of roles that
no stage has heard, show what each stage does here, and nothing about the paper. All encoders had the same settings
(downstream_configs/quick: fewer steps, smaller batches and a smaller ASR head than the board's protocol) and the same
learning rates to choose from on dev, so the columns compare with one another and with nothing published. The baseline
is the untrained encoder: FBANK is low in KS because S3PRL normalises it over each utterance, so that the mean over time
that KS pools is zero, whatever was said. The encoders were trained once each: other seeds of stages 1 and 2 would move
the figures, too.
"""

NEXT = """\
Next:
  python scripts/superb/run.py --ckpt runs/quickstart/midtrained/encoder.pt --out runs/superb/first  all five tasks
  python run_downstream.py -u mmpt_av -k runs/quickstart/midtrained/encoder.pt -d pr                 one of them
  mmpt superb compare runs/quickstart:pretrained runs/quickstart:midtrained                          is B better?
  python scripts/samples/build.py --out data/full --full                                             all training data
  python pretrain/run.py --objective clr --data MANIFEST                                             your own clips
  python midtrain/run.py --target-lang it --init runs/quickstart/pretrained --data MUSTC             translation data
  python scripts/superb/submit.py --help                                                             the leaderboard
  tensorboard --logdir runs/quickstart                                                               losses, rates
Activate the environment first: source .venv/bin/activate
"""


def demo_note(provenance: dict) -> str:
    """Return what the column of the repository's trained encoder shows. `provenance`: the encoder's."""
    stages = [
        f"{stage['steps']:,} steps of {stage['stage']} on {stage['data'].replace('+', ', ')}"
        for stage in provenance.get("stages", [])
        if stage.get("data")
    ]
    trained = f"trained for hours, not by this quickstart: {'; '.join(stages)}"
    return "\n" + textwrap.fill(f"demo is samples/encoders/demo.pt, {trained}. See samples/encoders/README.md.", WIDTH)


def write_report(folder: Path, results: str, minutes: float) -> str:
    """Write report.md, and return what to print.

    Args:
        folder: of the quickstart.
        results: the table of scores, and the lines under it.
        minutes: that this call took, set-up left out.
    """
    text = f"# Quickstart on the sample corpora\n\n{results}\n\n{NOTES}\n```\n{NEXT}```\n"
    write_text(folder / "report.md", text)
    files = ("report/report.html", "report.md", "results.json", "bundles")
    written = ", ".join(str(folder / name) for name in files)
    return f"{results}\n\n{NOTES}\nWritten: {written} ({minutes:.1f} minutes)\n\n{NEXT}"
