"""Score a bundle by the leaderboard server's rules, with superb_s and the rank among the published rows."""

from collections.abc import Collection

from mmpt.superb.scoring import rules
from mmpt.superb.scoring.board import FIVE, published, rank, superb_s
from mmpt.superb.scoring.files import Diarization, Predictions, Truth
from mmpt.superb.scoring.layout import DEFAULT_FRAME_SHIFT, TRUTHS
from mmpt.superb.text_table import text_table
from mmpt.upstream.errors import InputError

METRICS = {
    "ks": "accuracy ↑",
    "ic": "accuracy ↑",
    "pr": "PER ↓",
    "sd": "DER ↓",
    "asr": "WER ↓",
    "asr_lm": "WER with LM ↓",
}
PUBLISHED_NOTE = (
    "A rank among published rows means something only for the published test sets and settings: "
    "the samples' figures show the arithmetic."
)


def score_bundle(predictions: Predictions, truth: Truth) -> dict:
    """Score every task that has predictions and a truth.

    Returns:
        `scores` (task → value as a fraction, number of ids scored, ids missing), `problems`, `diarization`,
        `superb_s` and `rank` (None unless all five tasks are scored).
    """
    scores: dict[str, dict] = {}
    problems: list[str] = []
    diarization = None
    for task in predictions.tasks():
        try:
            if task == "sd":
                diarization = score_diarization(predictions.diarization(), predictions.dev_diarization(), truth)
                scores["sd"] = {
                    "value": diarization["best_on_test"]["der"],
                    "scored": diarization["recordings"],
                    "missing": diarization["missing"],
                }
                continue
            truth_task = "asr" if task == "asr_lm" else task
            known = truth.tables.get(truth_task)
            if known is None:
                problems.append(f"{task}: no truth given ({' or '.join(TRUTHS[truth_task])})")
                continue
            found = (rules.accuracy if task in ("ks", "ic") else rules.error_rate)(predictions.table(task), known)
            scores[task] = {"value": found.value, "scored": found.scored, "missing": found.missing}
        except InputError as error:
            problems.append(f"{task}: {error}")
    overall = superb_s({task: 100 * entry["value"] for task, entry in scores.items()})
    return {
        "scores": scores,
        "problems": problems,
        "diarization": diarization,
        "superb_s": overall,
        "rank": None if overall is None else rank(overall),
    }


def score_diarization(test: Diarization, dev: Diarization | None, truth: Truth) -> dict:
    """Return the ten settings' errors on test, the best of them, and the error of the setting that dev chooses.

    Raises:
        InputError: the truth has no rttm of test, or lacks a recording.
    """
    dev_names = dev.probabilities.keys() if dev else set()
    # One folder of truth often holds the rttm files of train and dev too: only those of predicted splits count.
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


def _split_of(truth: Truth, names: Collection[str]) -> dict:
    """Return the recordings of the rttm files that hold any of `names`."""
    return {key: turns for file in truth.rttm_files if file.keys() & set(names) for key, turns in file.items()}


def describe_scores(content: dict) -> str:
    """Return the figures for a person. `content`: of `score_bundle`."""
    rows = [["test, %", "score", "scored"]]
    for task, entry in content["scores"].items():
        missing = f", {len(entry['missing'])} missing: {', '.join(entry['missing'][:3])}" if entry["missing"] else ""
        name = f"{task.upper().replace('_', ' + ')} {METRICS[task]}"
        rows.append([name, f"{100 * entry['value']:.2f}", f"{entry['scored']}{missing}"])
    lines = [text_table(rows), *(_describe_diarization(content["diarization"]) if content["diarization"] else [])]
    lines += [f"not scored: {problem}" for problem in content["problems"]]
    if content["superb_s"] is None:
        lines.append(f"superb_s needs all of {', '.join(FIVE)}")
    else:
        ours = (content["superb_s"], "THIS BUNDLE")
        ranked = sorted([*((row.superb_s, row.name) for row in published()), ours], reverse=True)
        place = f"rank {content['rank']} of {len(ranked)} among the published rows"
        lines.append(f"superb_s of the five tasks: {content['superb_s']:.1f}, {place}:")
        lines.append(text_table([["superb_s", "upstream"], *([f"{value:.1f}", name] for value, name in ranked)]))
    return "\n".join([*lines, PUBLISHED_NOTE])


def _describe_diarization(found: dict) -> list[str]:
    best, chosen = found["best_on_test"], found["chosen_on_dev"]
    setting = f"threshold {best['threshold']}, median {best['median']}"
    lines = [f"SD: the server's figure is the best on test of ten settings ({setting})."]
    if chosen:
        setting = f"threshold {chosen['threshold']}, median {chosen['median']}"
        lines.append(f"    Chosen on dev ({setting}): {100 * chosen['der']:.2f} %")
    else:
        lines.append("    Chosen on dev: not known (dev predictions in the bundle and dev's rttm are needed)")
    if found["frame_shift_missing"]:
        lines.append(f"    frame_shift is missing: the server takes {DEFAULT_FRAME_SHIFT} samples")
    return lines
