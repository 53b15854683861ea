"""What the quickstart ends with: report.md and the commands to go on with."""

import json
from pathlib import Path

from mmpt.superb.results import markdown
from mmpt.upstream.files import write_text

TASKS = ("ks", "asr")
TITLES = {
    "fbank": "log-mel FBANK",
    "untrained": "untrained",
    "pretrained": "pre-trained",
    "midtrained": "+ mid-trained",
}
ROWS = (("ks", "acc", "KS accuracy ↑"), ("asr", "wer", "ASR WER ↓"), ("asr", "cer", "ASR character error ↓"))

NOTES = """\
These figures prove that the pipeline works, not the paper: a tiny encoder, minutes of training and {ks} (KS) and {asr} (ASR)
test utterances; one clip more or less moves KS by {ks_step:.1f} points, and a difference under {ks_noise:.0f} points may be chance. All encoders had the same settings
(downstream_configs/quick: fewer steps, smaller batches, another learning rate and a narrower ASR head than the board's
protocol), so the rows compare with one another and with nothing published. The baseline to beat is the untrained encoder:
FBANK is low because S3PRL normalises it over each utterance, and the mean over time that KS pools is then zero whatever was said.
A `*` marks a figure of the last checkpoint, where S3PRL wrote no best one (ASR: dev WER never under 100 %; KS: no dev clip right).
"""

NEXT = """\
Go on with:
  python scripts/superb/run.py --ckpt runs/quickstart/midtrained/encoder.pt --out superb  all five tasks
  python run_downstream.py -u mmpt_av -k runs/quickstart/midtrained/encoder.pt -d pr      one of them: ks, ic, pr, sd, asr
  python pretrain/run.py --objective clr --data MANIFEST                                  your own clips
  python midtrain/run.py --target-lang it --init runs/quickstart/pretrained --data MUSTC  real translation data
  python scripts/superb/submit.py --help                                                  what one submits to the leaderboard
  tensorboard --logdir runs/quickstart                                                    losses, learning rates, speed
Activate the environment first: source .venv/bin/activate
"""


def write_report(folder: Path, minutes: float) -> str:
    """Writes report.md from results.json, and returns what to print.

    Args:
        folder: of the quickstart. minutes: that this call took, set-up left out.
    """
    summary = json.loads((folder / "results.json").read_text(encoding="utf-8"))["summary"]
    scores = {(entry["task"], entry["encoder"]): entry for entry in summary if entry["split"] in ("test", "test-clean")}
    utterances = {task: scores[task, "fbank"]["utterances"] for task in TASKS}
    notes = NOTES.format(
        ks=utterances["ks"],
        asr=utterances["asr"],
        ks_step=100 / utterances["ks"],
        ks_noise=196 * (0.5 / utterances["ks"]) ** 0.5,
    )  # 95 %, two shares of about a half
    rows = [["task (test, %)", *TITLES.values()]]
    for task, metric, title in ROWS:
        cells = [scores[task, name] for name in TITLES]
        rows.append(
            [title, *(f"{100 * cell[metric]['mean']:.1f}{'' if cell['best_on_dev'] else ' *'}" for cell in cells)]
        )
    table = markdown(rows)
    text = f"# Quickstart on the sample corpora\n\n{table}\n\n{notes}\n{NEXT}"
    write_text(folder / "report.md", text.replace(NEXT, "```\n" + NEXT + "```\n"))
    written = f"Written: {folder / 'report/report.html'}, {folder / 'report.md'}, {folder / 'results.json'}, {folder / 'bundles'}"
    return f"{table}\n\n{notes}\n{written} ({minutes:.1f} minutes)\n\n{NEXT}"
