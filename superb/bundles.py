"""End a run: a bundle of each encoder, scored by the leaderboard's rules and noted in results.json; the report."""

import json
from dataclasses import asdict
from pathlib import Path

from mmpt.superb.report.collect import collect
from mmpt.superb.report.page import write_report
from mmpt.superb.results import add_to_encoders, read_results, submittable_encoders
from mmpt.superb.scoring.board import FIVE, published
from mmpt.superb.scoring.files import Predictions, read_truth
from mmpt.superb.scoring.score import PUBLISHED_NOTE, score_bundle
from mmpt.superb.submission.bundle import FormTexts, build_bundle, known_cost, verdicts
from mmpt.superb.submission.run_results import read_encoder_results
from mmpt.superb.text_table import text_table
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text

HEADING = "Bundles by the leaderboard's rules, %, heads of the first seed (SD: the best on test of ten settings)"


def end_run(folder: Path, title: str, bundles: bool = True) -> tuple[Path, list[str]]:
    """Make the bundles and the report of results.json, and print the scores.

    Returns:
        The report's page, and what went wrong.
    """
    made, problems = make_bundles(folder) if bundles else ([], [])
    if made:
        print(f"\n{HEADING}\n{bundle_table(made)}")
        print(f"In {folder / 'bundles'}; why one cannot be submitted, or is not eligible, stands in its manifest.json.")
        if any(one["superb_s"] is not None for one in made):
            print(PUBLISHED_NOTE)
    for problem in problems:
        print(problem)
    return write_report(folder / "report", collect([folder]), {}, title), problems


def make_bundles(folder: Path) -> tuple[list[dict], list[str]]:
    """Make and score `bundles/NAME` of each encoder that was tested, in place of an earlier bundle.

    S3PRL's own upstreams as they are get none: they are on the board already.
    A bundle is a trial or a submission; its manifest records which. Costs and scores are added to results.json.

    Args:
        folder: with results.json.

    Returns:
        One entry an encoder (name, manifest, score), and a line for each encoder of which no bundle could be made.
    """
    content = read_results(folder)
    evaluated = {job["encoder"] for job in content["jobs"] if job["state"] == "evaluated" and job["chosen"]}
    entries = {entry["name"]: entry for entry in content["encoders"]}
    made: list[dict] = []
    problems: list[str] = []
    additions: dict[str, dict] = {}
    for name in (name for name in submittable_encoders(content) if name in evaluated):
        try:
            manifest, additions[name] = _make_bundle(folder, name, entries[name])
        except InputError as error:
            problems.append(f"no bundle of {name}: {error}")
            continue
        made.append({"name": name, "manifest": manifest, **additions[name]["server_score"]})
    add_to_encoders(folder, additions)
    return made, problems


def _make_bundle(folder: Path, name: str, entry: dict) -> tuple[dict, dict]:
    """Make and score an encoder's bundle.

    Returns:
        Its manifest, and what belongs into the encoder's `entry` of results.json: `cost` and `server_score`.
    """
    results, bundle = read_encoder_results(folder, name), folder / "bundles" / name
    cost = known_cost(entry, results.encoder)
    manifest = build_bundle(results, lambda: cost, bundle, FormTexts(), allow_partial=True)
    found = score_bundle(Predictions(bundle), read_truth(results.truth_paths()))
    write_text(bundle / "score.json", json.dumps(found, indent=2) + "\n")
    score = {
        "seed": results.seed,
        "scores": {task: one["value"] for task, one in found["scores"].items()},
        "superb_s": found["superb_s"],
        "rank": found["rank"],
        "sd_chosen_on_dev": ((found["diarization"] or {}).get("chosen_on_dev") or {}).get("der"),
    }
    return manifest, {"cost": asdict(cost), "server_score": score}


def bundle_table(made: list[dict]) -> str:
    """Return the bundles side by side, without columns that would be empty."""
    tasks, rank = [task.upper() for task in FIVE], f"rank of {len(published()) + 1}"
    rows = [["bundle", *tasks, "SD chosen on dev", "superb_s", rank, "submittable", "challenge track"]]
    for one in made:
        scores = [_percent(one["scores"].get(task)) for task in FIVE]
        place = ["", ""] if one["superb_s"] is None else [f"{one['superb_s']:.1f}", str(one["rank"])]
        rows.append([one["name"], *scores, _percent(one["sd_chosen_on_dev"]), *place, *verdicts(one["manifest"])])
    filled = [column for column in zip(*rows) if any(column[1:])]
    return text_table([list(row) for row in zip(*filled)])


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"
