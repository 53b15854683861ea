"""What a run of SUPERB tasks left for one encoder and one head seed: test predictions, and how they were made."""

from dataclasses import dataclass
from pathlib import Path

from mmpt.superb.encoder_figures import rate
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.jobs import JobFolder
from mmpt.superb.results import identity_of, read_results, submittable_encoders
from mmpt.superb.results_folder import moved
from mmpt.superb.scoring.board import FIVE
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.expert import read_options
from mmpt.upstream.s3prl_runner.launcher import read_checkpoint


@dataclass(frozen=True)
class TaskResult(JobFolder):
    """One task's.

    Args:
        folder: the job's, with `experiment/`.
        config: as S3PRL stored it with the checkpoint.
        head_parameters: trained ones, the weights of the sum over layers among them.
        is_smoke: True for the samples' settings or fewer steps.
        changed: other settings, as they were asked for.
        is_best: True if the checkpoint is the best on dev.
        fine_tuned: True if the encoder was trained too.
        lr: learning rate of the head.
        lr_chosen_on_dev: True if dev chose it from several.
        scores: split → metric → score of the predictions.
    """

    task: str
    folder: Path
    config: dict
    head_parameters: int
    is_smoke: bool
    changed: list[str]
    is_best: bool
    fine_tuned: bool
    lr: float
    lr_chosen_on_dev: bool
    scores: dict[str, dict[str, float]]


@dataclass(frozen=True)
class EncoderResults:
    """One encoder's.

    Args:
        name: in the run.
        encoder: where its files lie now.
        provenance: where the weights come from.
        hop: samples under a state in this run.
        seed: of the heads.
        tasks: by name, those that were tested.
    """

    name: str
    encoder: ScoredEncoder
    provenance: dict | None
    hop: int
    seed: int
    tasks: dict[str, TaskResult]

    def truth_paths(self) -> list[Path]:
        """Return where the truths lie, for score.py: the experiments' folders, and those of SD's test and dev."""
        paths = [one.experiment for task, one in self.tasks.items() if task != "sd"]
        loader = self.tasks["sd"].config["downstream_expert"]["loaderrc"] if "sd" in self.tasks else {}
        folders = [Path(loader[key]) for key in ("test_dir", "dev_dir") if key in loader]
        return paths + [folder for folder in folders if (folder / "rttm").is_file()]


def read_encoder_results(results: Path, encoder: str, seed: int | None = None) -> EncoderResults:
    """Read one encoder's results, and the best checkpoints of its tasks.

    Args:
        results: a run's folder, or its results.json.
        encoder: its name in the run.
        seed: of the heads; None is the first that was run.

    Raises:
        InputError: no such encoder or seed, nothing of it was tested, or its checkpoint is not the one that was scored.
    """
    content = read_results(results)
    root = results if results.is_dir() else results.parent
    about = next((entry for entry in content["encoders"] if entry["name"] == encoder), None)
    known = submittable_encoders(content)
    if about is None or encoder not in known:
        raise InputError(
            f"{results}: no encoder to submit is called '{encoder}'; there are {', '.join(known) or 'none'}"
        )
    scored = _scored(about, root)
    jobs = [
        job for job in content["jobs"] if job["encoder"] == encoder and job["chosen"] and job["state"] == "evaluated"
    ]
    seeds = list(dict.fromkeys(job["seed"] for job in jobs))
    if not seeds or seed is not None and seed not in seeds:
        hint = f" with seed {seed}; there are {', '.join(map(str, seeds))}" if seeds else ""
        raise InputError(f"{results}: no task of {encoder} was scored on test{hint}")
    seed = seeds[0] if seed is None else seed
    entries = {job["task"]: job for job in jobs if job["seed"] == seed}
    rates = {(job["task"], job["lr"]) for job in content["jobs"] if job["encoder"] == encoder}
    tasks = {
        task: _read_task(entries[task], root, is_tuned=sum(task == one for one, _ in rates) > 1)
        for task in FIVE
        if task in entries
    }
    hop = _common_hop(scored, {_asked_hop(task) for task in tasks.values()})
    return EncoderResults(encoder, scored, about["provenance"], hop, seed, tasks)


def _scored(about: dict, root: Path) -> ScoredEncoder:
    """Return the encoder of an entry of results.json, its files found where they lie now.

    Raises:
        InputError: they are gone, or no longer those that were scored.
    """
    found: dict[str, str | None] = {}
    for part in ("upstream", "checkpoint", "config"):
        text = found[part] = about.get(part)
        if text is not None and text.startswith("/"):
            found[part] = str(moved(Path(text), root))
            if not Path(str(found[part])).exists():
                raise InputError(f"{found[part]}: is not there any more; score {about['name']} again")
    scored = ScoredEncoder(about["name"], str(found["upstream"]), found["checkpoint"], found["config"])
    if scored.identity != identity_of(about):
        changed = found["checkpoint"] or found["upstream"]
        raise InputError(f"{changed}: is no longer the encoder that was scored; score it again")
    return scored


def _read_task(entry: dict, root: Path, is_tuned: bool) -> TaskResult:
    """Read what a job's entry in results.json leads to. `is_tuned`: dev chose its learning rate from several."""
    folder = moved(Path(entry["folder"]), root)
    file = folder / "experiment" / entry["checkpoint"]
    content = read_checkpoint(file)
    if content["Step"] != entry["prediction_of_step"]:
        predicted = f"the predictions are of step {entry['prediction_of_step']}"
        raise InputError(f"{file}: is of step {content['Step']}, {predicted}; run the task again")
    # S3PRL keeps its best dev score among the head's weights.
    trained = [tensor for name, tensor in content["Downstream"].items() if not name.endswith("best_score")]
    return TaskResult(
        entry["task"],
        folder,
        content["Config"],
        head_parameters=sum(tensor.numel() for tensor in [*trained, *content["Featurizer"].values()]),
        is_smoke=entry["smoke"],
        changed=entry.get("changed", []),
        is_best=entry["checkpoint_is_best_on_dev"],
        fine_tuned=bool(vars(content["Args"]).get("upstream_trainable")),
        lr=entry["lr"],
        lr_chosen_on_dev=is_tuned and entry.get("dev_score") is not None,
        scores=entry["scores"],
    )


def _asked_hop(task: TaskResult) -> int | None:
    """Return the hop that the job asked for in place of the encoder's own."""
    return read_options(str(task.hop_file)).get("frame_hop") if task.hop_file.is_file() else None


def _common_hop(encoder: ScoredEncoder, asked: set[int | None]) -> int:
    own = rate(encoder)
    hops = {hop or own for hop in asked}
    if len(hops) > 1:
        several = " and ".join(map(str, sorted(hops)))
        raise InputError(f"{encoder.name}: tasks were run with hops of {several} samples; a submission has one")
    return hops.pop()
