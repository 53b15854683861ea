"""What a run ends with: a bundle of each encoder, scored by the leaderboard's rules and noted in results.json, and the report."""

import json
from dataclasses import asdict
from pathlib import Path

from mmpt.scripts.superb.score import PUBLISHED_NOTE, score
from mmpt.scripts.superb.submit import Wish, build, known_cost
from mmpt.superb.report.collect import collect
from mmpt.superb.report.page import write_report
from mmpt.superb.results import markdown
from mmpt.superb.scoring.board import FIVE, published
from mmpt.superb.scoring.files import Predictions, read_truth
from mmpt.superb.submission.task_results import read_outcomes, read_results, submittable_encoders
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text


def end_run(folder: Path, title: str, bundles: bool = True) -> tuple[Path, list[str]]:
    """Makes bundles and report of results.json, and prints what came out.

    Returns:
        The report's page, and what went wrong.
    """
    made, problems = bundle_all(folder) if bundles else ([], [])
    if made:
        print(
            "\nBundles by the leaderboard's rules, %, heads of the first seed (SD: the best on test of ten settings)\n"
            + bundle_table(made)
        )
        print(f"In {folder / 'bundles'}; why one cannot be submitted, or is not eligible, stands in its manifest.json.")
        if any(one["superb_s"] is not None for one in made):
            print(PUBLISHED_NOTE)
    for problem in problems:
        print(problem)
    return write_report(folder / "report", collect([folder]), {}, title), problems


def bundle_all(folder: Path) -> tuple[list[dict], list[str]]:
    """Makes `bundles/NAME` of each encoder of ours that was scored on test, and scores it; an earlier bundle of the run is replaced.

    Bundles are for a rehearsal as well as for submission: their manifests say which. Costs and scores are added to results.json.

    Args:
        folder: with results.json.

    Returns:
        One entry an encoder: name, manifest, score; and one line for each encoder that no bundle could be made of.
    """
    content, made, problems = read_results(folder), [], []
    evaluated = {job["encoder"] for job in content["jobs"] if job["state"] == "evaluated" and job["chosen"]}
    entries = {entry["name"]: entry for entry in content["encoders"]}
    for name in (name for name in submittable_encoders(content) if name in evaluated):
        entry, bundle = entries[name], folder / "bundles" / name
        try:
            outcomes = read_outcomes(folder, name)
            cost = known_cost(entry, outcomes.encoder)
            manifest = build(outcomes, lambda cost=cost: cost, bundle, Wish(), allow_partial=True)
            found = score(Predictions(bundle), read_truth(outcomes.truth_paths()))
        except InputError as error:
            problems.append(f"no bundle of {name}: {error}")
            continue
        write_text(bundle / "score.json", json.dumps(found, indent=2) + "\n")
        entry["cost"] = asdict(cost)
        entry["server_score"] = {
            "seed": outcomes.seed,
            "scores": {task: one["value"] for task, one in found["scores"].items()},
            "superb_s": found["superb_s"],
            "rank": found["rank"],
            "sd_chosen_on_dev": ((found["diarization"] or {}).get("chosen_on_dev") or {}).get("der"),
        }
        made.append({"name": name, "manifest": manifest, **entry["server_score"]})
    write_text(folder / "results.json", json.dumps(content, indent=2) + "\n")
    return made, problems


def bundle_table(made: list[dict]) -> str:
    """The bundles side by side, without the columns that would be empty."""
    rows = [
        [
            "bundle",
            *(task.upper() for task in FIVE),
            "SD chosen on dev",
            "superb_s",
            f"rank of {len(published()) + 1}",
            "submittable",
            "challenge track",
        ]
    ]
    for one in made:
        scores = [_percent(one["scores"].get(task)) for task in FIVE]
        place = ["", ""] if one["superb_s"] is None else [f"{one['superb_s']:.1f}", str(one["rank"])]
        verdict = [
            "yes" if one["manifest"]["submittable"] else "no",
            "eligible" if one["manifest"]["challenge_track"]["eligible"] else "not eligible",
        ]
        rows.append([one["name"], *scores, _percent(one["sd_chosen_on_dev"]), *place, *verdict])
    filled = [column for column in zip(*rows) if any(column[1:])]
    return markdown([list(row) for row in zip(*filled)])


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"
