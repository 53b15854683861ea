"""What the quickstart ends with: report.md, and commands to try next."""

import json
from pathlib import Path

from mmpt.superb.text_table import text_table
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
These figures prove that the pipeline works, not the paper: a tiny encoder, minutes of training, and
{ks} (KS) and {asr} (ASR) test utterances. One clip more or less moves KS by {ks_step:.1f} points.
A difference under {ks_noise:.0f} points may be chance. All encoders had the same settings (downstream_configs/quick:
fewer steps, smaller batches, another learning rate and a narrower ASR head than the board's protocol), so the rows
compare with one another and with nothing published. The baseline to beat is the untrained encoder: FBANK is low because
S3PRL normalises it over each utterance, so that the mean over time that KS pools is zero, whatever was said.
A `*` marks a figure of the last checkpoint: S3PRL wrote no best one (ASR: dev WER never under 100 %; KS: no dev clip
right).
"""

NEXT = """\
Next:
  python scripts/superb/run.py --ckpt runs/quickstart/midtrained/encoder.pt --out runs/superb/first  all five tasks
  python run_downstream.py -u mmpt_av -k runs/quickstart/midtrained/encoder.pt -d pr                 one of them
  python pretrain/run.py --objective clr --data MANIFEST                                             your own clips
  python midtrain/run.py --target-lang it --init runs/quickstart/pretrained --data MUSTC             translation data
  python scripts/superb/submit.py --help                                                             the leaderboard
  tensorboard --logdir runs/quickstart                                                               losses, rates
Activate the environment first: source .venv/bin/activate
"""


def write_report(folder: Path, minutes: float) -> str:
    """Write report.md from results.json, and return what to print.

    Args:
        folder: of the quickstart.
        minutes: that this call took, set-up left out.
    """
    summary = json.loads((folder / "results.json").read_text(encoding="utf-8"))["summary"]
    scores = {(entry["task"], entry["encoder"]): entry for entry in summary if entry["split"] in ("test", "test-clean")}
    utterances = {task: scores[task, "fbank"]["utterances"] for task in TASKS}
    notes = NOTES.format(
        ks=utterances["ks"],
        asr=utterances["asr"],
        ks_step=100 / utterances["ks"],
        ks_noise=196 * (0.5 / utterances["ks"]) ** 0.5,  # 95 %, two shares of about a half
    )
    rows = [["task (test, %)", *TITLES.values()]]
    for task, metric, title in ROWS:
        entries = [scores[task, name] for name in TITLES]
        cells = [f"{100 * entry[metric]['mean']:.1f}{'' if entry['best_on_dev'] else ' *'}" for entry in entries]
        rows.append([title, *cells])
    table = text_table(rows)
    write_text(folder / "report.md", f"# Quickstart on the sample corpora\n\n{table}\n\n{notes}\n```\n{NEXT}```\n")
    files = ("report/report.html", "report.md", "results.json", "bundles")
    written = ", ".join(str(folder / name) for name in files)
    return f"{table}\n\n{notes}\nWritten: {written} ({minutes:.1f} minutes)\n\n{NEXT}"
