"""Scores a bundle, or predict.zip, offline by the leaderboard server's rules; superb_s and rank among the published rows."""

import argparse
import json
import sys
from pathlib import Path

from mmpt.superb.results import markdown
from mmpt.superb.scoring import rules
from mmpt.superb.scoring.board import FIVE, published, rank, superb_s
from mmpt.superb.scoring.files import DEFAULT_FRAME_SHIFT, TRUTHS, Predictions, Truth, read_truth
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text

METRICS = {
    "ks": "accuracy ↑",
    "ic": "accuracy ↑",
    "pr": "PER ↓",
    "sd": "DER ↓",
    "asr": "WER ↓",
    "asr_lm": "WER with LM ↓",
}
PUBLISHED_NOTE = "A rank among published rows means something only for the published test sets and settings: the samples' figures show the arithmetic."
EXAMPLES = """\
examples:
  python scripts/superb/score.py bundle/ --truth superb/first data/samples/diarization
  python scripts/superb/score.py predict.zip --truth test-ref.ark test-clean-noLM-ref.ark test_truth.txt test_truth.csv rttm

Truth: files as S3PRL's runner writes them beside its predictions (%s), or folders of them; tasks without one are left out.
Server's rules: ids that are missing are passed over, an unknown id costs the task. PER and WER are edits over all reference tokens. SD is the *best on
test* of thresholds 0.3, 0.4, 0.5, 0.6, 0.7 and medians 1, 11; beside it stands the figure of the setting that dev chooses, where the bundle
holds dev predictions and --truth dev's rttm.
""" % ", ".join(name for names in TRUTHS.values() for name in names)


def score(predictions: Predictions, truth: Truth) -> dict:
    """All that can be scored: `scores` (task → fraction, ids scored and missing), `problems`, `diarization`, `superb_s`, `rank`."""
    scores, problems, diarization = {}, [], None
    for task in predictions.tasks():
        try:
            if task == "sd":
                diarization = score_diarization(predictions, truth)
                scores["sd"] = {
                    "value": diarization["best_on_test"]["der"],
                    "scored": diarization["recordings"],
                    "missing": diarization["missing"],
                }
                continue
            known = truth.tables.get("asr" if task == "asr_lm" else task)
            if known is None:
                problems.append(f"{task}: no truth given ({' or '.join(TRUTHS['asr' if task == 'asr_lm' else task])})")
                continue
            found = (rules.accuracy if task in ("ks", "ic") else rules.error_rate)(predictions.table(task), known)
            scores[task] = {"value": found.value, "scored": found.scored, "missing": found.missing}
        except InputError as error:
            problems.append(f"{task}: {error}")
    content = {"scores": scores, "problems": problems, "diarization": diarization}
    content["superb_s"] = superb_s({task: 100 * entry["value"] for task, entry in scores.items()})
    content["rank"] = None if content["superb_s"] is None else rank(content["superb_s"])
    return content


def score_diarization(predictions: Predictions, truth: Truth) -> dict:
    """The ten settings' errors on test, the best, and that of dev's choice."""
    test, dev = predictions.diarization(), predictions.dev_diarization()
    dev_names = dev.probabilities.keys() if dev else set()
    # One folder of truth often holds train's and dev's rttm files, too: those of recordings whose neighbours were predicted count.
    wanted = _split_of(truth, test.probabilities.keys() - dev_names)
    if not wanted:
        raise InputError("no truth given (rttm)")
    errors = rules.diarization(test, wanted)
    setting = rules.best_setting(errors)
    found = {
        "frame_shift": test.frame_shift or DEFAULT_FRAME_SHIFT,
        "frame_shift_missing": test.frame_shift is None,
        "recordings": len(test.probabilities),
        "missing": sorted(wanted.keys() - test.probabilities.keys()),
        "settings": [{"threshold": t, "median": m, "der": der} for (t, m), der in errors.items()],
        "best_on_test": {"threshold": setting[0], "median": setting[1], "der": errors[setting]},
        "chosen_on_dev": None,
    }
    dev_truth = _split_of(truth, dev_names)
    if dev and dev_truth:
        on_dev = rules.diarization(dev, dev_truth)
        chosen = rules.best_setting(on_dev)
        found["chosen_on_dev"] = {
            "threshold": chosen[0],
            "median": chosen[1],
            "der": errors[chosen],
            "der_on_dev": on_dev[chosen],
        }
    return found


def _split_of(truth: Truth, names) -> dict:
    """The rttm files' recordings from files that know any of `names`."""
    return {key: turns for file in truth.rttm_files if file.keys() & names for key, turns in file.items()}


def show(content: dict) -> str:
    """The figures for a person."""
    rows = [["test, %", "score", "scored"]]
    for task, entry in content["scores"].items():
        missing = f", {len(entry['missing'])} missing: {', '.join(entry['missing'][:3])}" if entry["missing"] else ""
        rows.append(
            [
                f"{task.upper().replace('_', ' + ')} {METRICS[task]}",
                f"{100 * entry['value']:.2f}",
                f"{entry['scored']}{missing}",
            ]
        )
    lines = [markdown(rows)]
    if content["diarization"]:
        best, chosen = content["diarization"]["best_on_test"], content["diarization"]["chosen_on_dev"]
        lines.append(
            f"SD: the server's figure is the best on test of ten settings (threshold {best['threshold']}, median {best['median']})."
        )
        lines.append(
            f"    Chosen on dev (threshold {chosen['threshold']}, median {chosen['median']}): {100 * chosen['der']:.2f} %"
            if chosen
            else "    Chosen on dev: not known (dev predictions in the bundle and dev's rttm are needed)"
        )
        if content["diarization"]["frame_shift_missing"]:
            lines.append(f"    frame_shift is missing: the server takes {DEFAULT_FRAME_SHIFT} samples")
    lines += [f"not scored: {problem}" for problem in content["problems"]]
    if content["superb_s"] is None:
        lines.append(f"superb_s needs all of {', '.join(FIVE)}")
    else:
        lines.append(
            f"superb_s of the five tasks: {content['superb_s']:.1f}, rank {content['rank']} of {len(published()) + 1} among the published rows:"
        )
        table = sorted(
            [(row.superb_s, row.name) for row in published()] + [(content["superb_s"], "THIS BUNDLE")], reverse=True
        )
        lines.append(markdown([["superb_s", "upstream"], *([f"{value:.1f}", name] for value, name in table)]))
    return "\n".join([*lines, PUBLISHED_NOTE])


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("bundle", type=Path, metavar="BUNDLE", help="predict.zip, or a folder that holds it or predict/")
    p.add_argument("--truth", type=Path, nargs="+", required=True, metavar="PATH", help="files or folders, see below")
    p.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures there; default: score.json in a bundle's folder"
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Scores and prints; returns the exit status: 1 where a task could not be scored."""
    arguments = parser().parse_args(argv)
    predictions = Predictions(arguments.bundle)
    content = score(predictions, read_truth(arguments.truth))
    print(show(content))
    file = arguments.json or (arguments.bundle / "score.json" if arguments.bundle.is_dir() else None)
    if file:
        write_text(file, json.dumps(content, indent=2) + "\n")
        print(f"Written: {file}")
    return 1 if content["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
