"""What the quickstart ends with: results.json, report.md and the commands to go on with."""

import json
import platform
from importlib.metadata import version
from pathlib import Path

from mmpt.pretrain.run_folder import git_revision, write_text
from mmpt.scripts.comparison import ENCODERS

TITLES = {"fbank": "log-mel FBANK", "untrained": "untrained", "pretrained": "pre-trained", "midtrained": "+ mid-trained"}
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
  python run_downstream.py -u mmpt_av -k runs/quickstart/midtrained/encoder.pt -d asr     any task: ks, ic, pr, sd, asr
  python pretrain/run.py --objective clr --data MANIFEST                                  your own clips
  python midtrain/run.py --target-lang it --init runs/quickstart/pretrained --data MUSTC  real translation data
  tensorboard --logdir runs/quickstart                                                    losses, learning rates, speed
Activate the environment first: source .venv/bin/activate
"""


def write_report(results: list[dict], folder: Path, minutes: float) -> str:
    """Writes results.json and report.md; returns what to print.

    Args:
        results: of comparison.compare.
        minutes: that this call took, set-up left out.
    """
    software = {name: version(name) for name in ("torch", "torchaudio", "s3prl", "mmpt-av")} | {"python": platform.python_version()}
    write_text(folder / "results.json", json.dumps({"results": results, "software": software, "revision": git_revision()}, indent=2) + "\n")
    utterances = {result["task"]: result["utterances"] for result in results}
    notes = NOTES.format(ks=utterances["ks"], asr=utterances["asr"], ks_step=100 / utterances["ks"],
                         ks_noise=196 * (0.5 / utterances["ks"]) ** 0.5)  # 95 %, two shares of about a half
    table = markdown_table(results)
    text = f"# Quickstart on the sample corpora\n\n{table}\n\n{notes}\n{NEXT}"
    write_text(folder / "report.md", text.replace(NEXT, "```\n" + NEXT + "```\n"))
    return f"{table}\n\n{notes}\nWritten: {folder / 'results.json'}, {folder / 'report.md'} ({minutes:.1f} minutes)\n\n{NEXT}"


def markdown_table(results: list[dict]) -> str:
    """Task × encoder, in per cent."""
    by_key = {(result["task"], result["encoder"]): result for result in results}
    rows = [["task (test, %)", *(TITLES[name] for name in ENCODERS)]]
    for task, metric, title in ROWS:
        cells = [by_key[task, name] for name in ENCODERS]
        rows.append([title, *(f"{100 * c['score'][metric]:.1f}{'' if c['checkpoint_is_best_on_dev'] else ' *'}" for c in cells)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
