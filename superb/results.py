"""results.json, the file that a SUPERB run ends with. This module alone writes, reads and changes it.

`encoders`: hash, provenance, and once known cost and server_score. `summary`: means over seeds (`selection`), with
intervals (`statistics.summary`; older files have none). `comparisons`: of declared pairs (`statistics.pairs`). `jobs`:
all that is known of each. `notes`: what to know before comparing. `command`, `software`: how it was made.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.jobs import Job, read_json
from mmpt.superb.selection import summaries
from mmpt.superb.software import software_versions
from mmpt.superb.statistics.encoder_in_run import EncoderInRun
from mmpt.superb.statistics.pairs import compare_pairs
from mmpt.superb.statistics.summary import add_statistics
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text

FILE = "results.json"
LISTS = ("encoders", "jobs", "summary", "notes")


def write_results(
    jobs: list[Job],
    chosen: list[Job],
    folder: Path,
    command: str,
    notes: list[str],
    pairs: Sequence[tuple[str, str]] = (),
) -> dict:
    """Write results.json of a run's folder, and return its content. Costs that it already holds are kept.

    Args:
        jobs: all of the run.
        chosen: those of the best learning rates.
        command: what made the results.
        notes: what a reader must know before comparing.
        pairs: names of encoders to compare, each a baseline and another one.
    """
    old = (read_json(folder / FILE) or {}).get("encoders", [])
    costs = {identity_of(entry): entry["cost"] for entry in old if entry.get("cost")}
    content: dict = {
        "notes": notes,
        "command": command,
        "software": software_versions(),
        "encoders": [_encoder_entry(encoder, costs) for encoder in dict.fromkeys(job.encoder for job in jobs)],
        "summary": summaries(chosen),
        "jobs": [_job_entry(job, job in chosen) for job in jobs],
    }
    in_run = {entry["name"]: EncoderInRun(entry["name"], content, folder) for entry in content["encoders"]}
    not_scored = add_statistics(content["summary"], in_run)
    content["comparisons"], not_compared = compare_pairs([(in_run[first], in_run[second]) for first, second in pairs])
    content["notes"] = [*notes, *not_scored, *not_compared]
    _write(folder, content)
    return content


def check_nothing_is_lost(jobs: list[Job], folder: Path) -> None:
    """Raise InputError if results.json of a run's folder has tasks or encoders that these jobs would leave out."""
    if not (folder / FILE).is_file():
        return
    there = {(entry["task"], entry["encoder"]): None for entry in read_results(folder)["jobs"]}
    kept = {(job.task, job.encoder.name) for job in jobs}
    lost = [" ".join(cell) for cell in there if cell not in kept]
    if lost:
        raise InputError(
            f"{folder / FILE}: would lose {', '.join(lost)}; name these, too (finished jobs are not repeated), or give "
            "another --out"
        )


def read_results(path: Path) -> dict:
    """Return the content of a results.json, or of the one in a run's folder. Raises InputError."""
    file = path / FILE if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not all(isinstance(content[key], list) for key in LISTS):
            raise ValueError("lists are missing")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; mmpt superb run writes it") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file}: is not what mmpt superb run writes") from None
    return content


def add_to_encoders(folder: Path, additions: dict[str, dict]) -> None:
    """Add fields to the entries of encoders in a run's results.json. `additions`: encoder → fields."""
    content = read_results(folder)
    for entry in content["encoders"]:
        entry.update(additions.get(entry["name"], {}))
    _write(folder, content)


def identity_of(entry: dict) -> str:
    """Return what tells an encoder's entry from others, by content. Older files have the checkpoint's hash alone."""
    return entry.get("identity") or entry["sha256"] or entry["name"]


def submittable_encoders(content: dict) -> list[str]:
    """Return the names of encoders of one's own weights or code; S3PRL's upstreams are on the board already."""
    return [entry["name"] for entry in content["encoders"] if entry["checkpoint"] or "/" in entry["upstream"]]


def unalignable(content: dict) -> list[tuple[str, str, str, float]]:
    """Return (task, encoder, split, share) where utterances have more CTC labels than states: in training and test."""
    found = set()
    for entry in content["jobs"]:
        tested = (entry.get("unalignable") or {}).items()
        splits = {split: counts for split, counts in tested if split.startswith("test")}
        splits["train"] = (entry.get("dropped") or {}).get("ctc", {}).get("train")
        for split, counts in splits.items():
            if counts and counts["unalignable"]:
                share = round(counts["unalignable"] / counts["utterances"], 3)
                found.add((entry["task"], entry["encoder"], split, share))
    return sorted(found)


def _write(folder: Path, content: dict) -> None:
    write_text(folder / FILE, json.dumps(content, indent=2) + "\n")


def _encoder_entry(encoder: ScoredEncoder, costs: dict[str, dict]) -> dict:
    """Describe an encoder and the origin of its weights, with its cost if it was measured before."""
    from mmpt.upstream.mmpt_av.checkpoint import file_hash

    entry = {
        "name": encoder.name,
        "upstream": encoder.upstream,
        "checkpoint": encoder.spelled.checkpoint,
        "config": encoder.config,
        "identity": encoder.identity,
        "sha256": file_hash(encoder.file) if encoder.file else None,
        "provenance": encoder.provenance(),
    }
    return entry | ({"cost": costs[encoder.identity]} if encoder.identity in costs else {})


def _job_entry(job: Job, is_chosen: bool) -> dict:
    """Describe a job and its results."""
    trained, result = job.trained() or {}, job.result() or {}
    state = "evaluated" if result else "failed" if job.failure() else "trained" if trained else "not done"
    return {
        "task": job.task,
        "encoder": job.encoder.name,
        "lr": job.config["optimizer"]["lr"],
        "seed": job.seed,
        "state": state,
        "chosen": is_chosen,
        "smoke": job.is_smoke,
        "changed": job.changed,
        "fine_tuned": job.options.fine_tune,
        **trained,
        **result,
        "failure": job.failure(),
        "folder": str(job.folder),
        "command": job.command(),
    }
