"""What a run of SUPERB tasks left for one encoder and one head seed: where each task's test predictions lie, and how they came about."""

import json
from dataclasses import dataclass
from pathlib import Path

from mmpt.superb.jobs import JobFolder
from mmpt.superb.scoring.board import FIVE
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import load_encoder
from mmpt.upstream.mmpt_av.checkpoint import file_hash
from mmpt.upstream.mmpt_av.expert import read_options
from mmpt.upstream.s3prl_runner.launcher import read_checkpoint


@dataclass(frozen=True)
class Outcome(JobFolder):
    """One task's.

    folder: the job's, with `experiment/`. config: as S3PRL stored it with the checkpoint. head_parameters: trained ones, the weights of the
    layers' sum among them. is_smoke: the samples' settings or fewer steps. changed: other settings, as they were asked for.
    is_best: whether the checkpoint is that on dev.
    """

    task: str
    folder: Path
    config: dict
    head_parameters: int
    is_smoke: bool
    changed: list[str]
    is_best: bool
    fine_tuned: bool


@dataclass(frozen=True)
class Outcomes:
    """tasks: by name, as many as there are. hop: samples under a state in this run. encoder: the checkpoint."""

    name: str
    encoder: Path
    provenance: dict | None
    hop: int
    seed: int
    tasks: dict[str, Outcome]

    def truth_paths(self) -> list[Path]:
        """Where the truths lie, for score.py: the experiments' folders, and those of SD's test and dev."""
        paths = [one.experiment for task, one in self.tasks.items() if task != "sd"]
        loader = self.tasks["sd"].config["downstream_expert"]["loaderrc"] if "sd" in self.tasks else {}
        return paths + [
            Path(loader[key])
            for key in ("test_dir", "dev_dir")
            if key in loader and Path(loader[key], "rttm").is_file()
        ]


def read_results(folder: Path) -> dict:
    """The content of a run's results.json. Raises InputError."""
    file = folder / "results.json" if folder.is_dir() else folder
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not all(isinstance(content[key], list) for key in ("encoders", "jobs", "summary", "notes")):
            raise ValueError("is not a run's results.json")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; scripts/superb/run.py writes it") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file}: is not what scripts/superb/run.py writes") from None
    return content


def submittable_encoders(content: dict) -> list[str]:
    """Names of the encoders of ours in results.json's content; S3PRL's own upstreams are on the board already."""
    return [entry["name"] for entry in content["encoders"] if entry["checkpoint"]]


def read_outcomes(results: Path, encoder: str, seed: int | None = None) -> Outcomes:
    """What results.json says of one encoder, and what the best checkpoints of its tasks hold.

    Args:
        seed: of the heads; None is the first that was run.

    Raises:
        InputError: no such encoder or seed, nothing of it was scored on test, or its checkpoint is not what was scored.
    """
    content = read_results(results)
    root = results if results.is_dir() else results.parent
    about = next((entry for entry in content["encoders"] if entry["name"] == encoder), None)
    if about is None or not about["checkpoint"]:
        raise InputError(
            f"{results}: no encoder of ours is called '{encoder}'; there are {', '.join(submittable_encoders(content)) or 'none'}"
        )
    checkpoint = _moved(Path(about["checkpoint"]), root)
    if not checkpoint.is_file() or file_hash(checkpoint) != about["sha256"]:
        what = "is no longer the encoder that was scored" if checkpoint.is_file() else "is not there any more"
        raise InputError(f"{checkpoint}: {what}; score it again")
    jobs = [
        job for job in content["jobs"] if job["encoder"] == encoder and job["chosen"] and job["state"] == "evaluated"
    ]
    seeds = list(dict.fromkeys(job["seed"] for job in jobs))
    if not seeds or seed is not None and seed not in seeds:
        there = f" with seed {seed}; there are {', '.join(map(str, seeds))}" if seeds else ""
        raise InputError(f"{results}: no task of {encoder} was scored on test{there}")
    seed = seeds[0] if seed is None else seed
    entries = {job["task"]: job for job in jobs if job["seed"] == seed}
    found = {task: _outcome(entries[task], root) for task in FIVE if task in entries}
    hop = _hop(checkpoint, {asked for _, asked in found.values()})
    return Outcomes(
        encoder, checkpoint, about["provenance"], hop, seed, {task: outcome for task, (outcome, _) in found.items()}
    )


def _outcome(entry: dict, root: Path) -> tuple[Outcome, int | None]:
    """A task's, and the hop that was asked for in place of the encoder's own."""
    folder = _moved(Path(entry["folder"]), root)
    file = folder / "experiment" / entry["checkpoint"]
    content = read_checkpoint(file)
    if content["Step"] != entry["prediction_of_step"]:
        raise InputError(
            f"{file}: is of step {content['Step']}, the predictions are of step {entry['prediction_of_step']}; run the task again"
        )
    trained = [
        tensor for name, tensor in content["Downstream"].items() if not name.endswith("best_score")
    ]  # S3PRL's note of its best dev score
    head = sum(tensor.numel() for tensor in [*trained, *content["Featurizer"].values()])
    options = folder / "mmpt_av.yaml"
    hop = read_options(str(options)).get("frame_hop") if options.is_file() else None
    outcome = Outcome(
        entry["task"],
        folder,
        content["Config"],
        head,
        is_smoke=entry["smoke"],
        changed=entry.get("changed", []),
        is_best=entry["checkpoint_is_best_on_dev"],
        fine_tuned=bool(vars(content["Args"]).get("upstream_trainable")),
    )
    return outcome, hop


def _hop(checkpoint: Path, asked: set[int | None]) -> int:
    own = load_encoder(checkpoint).hop
    hops = {hop or own for hop in asked}
    if len(hops) > 1:
        raise InputError(
            f"{checkpoint}: tasks were run with hops of {' and '.join(map(str, sorted(hops)))} samples; a submission has one"
        )
    return hops.pop()


def _moved(path: Path, root: Path) -> Path:
    """The path, or where it lies now when the whole run was moved to `root`."""
    if path.exists():
        return path
    below = (root.joinpath(*path.parts[first:]) for first in range(1, len(path.parts)))
    return next((other for other in below if other.exists()), path)
