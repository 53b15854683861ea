"""Defaults for the task's configuration and the paths of its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import data, overrides
from mmpt.upstream.s3prl_runner.plan import Plan, Surroundings
from mmpt.upstream.s3prl_runner.tasks import StockTask, SuperbTask

SAMPLE_WORKERS = 0  # loader processes for the samples: to start one costs more than to read them


def lexicon_settings(files: list[str], world: Surroundings) -> dict[str, object]:
    """Return the settings of PR that `--lexicon` changes; raise InputError if a file does not exist."""
    paths = [str(world.path(file)) for file in files]
    for file, path in zip(files, paths):
        if not Path(path).is_file():
            raise InputError(f"--lexicon {file}: no such file")
    return {"config.downstream_expert.corpus.lexicon": paths, "config.downstream_expert.corpus.unknown_words": "SPN"}


def task_settings(task: StockTask) -> dict[str, Any]:
    """Return the content of the task's own YAML."""
    return data.read_yaml(data.configs_folder() / f"{task.name}.yaml")


def task_placeholders(task: StockTask) -> dict[str, object]:
    """Return the data paths to fill in the task's own YAML."""
    return data.placeholders(task_settings(task))


def fill_data(plan: Plan, data_root: str | None, world: Surroundings) -> None:
    """Fill in `-c` and the data paths of that file, below the user's own `-o`."""
    values, task = plan.values, plan.task
    if "config" in values:
        found = data.placeholders(data.read_yaml(world.path(values["config"])))
        if data_root is not None and task is not None:
            found = {**task_placeholders(task), **found}
    elif task is not None:
        found = task_placeholders(task)
    else:
        raise InputError(f"-d {values['downstream']}: we have no configuration for it; give one with -c")
    given = overrides.read(values.get("override"))
    found = {key: item for key, item in found.items() if key not in given}
    source = None
    if wanted := data.corpora(found):
        name = task.name if task else values["downstream"]
        samples = world.samples if task is None or isinstance(task, SuperbTask) else _no_samples
        source = data.locate(data_root, name, wanted, world.folder, samples)
        plan.notes.append(f"data: {source.root or source.origin}" + (f" ({source.origin})" if source.root else ""))
    ours = data.fill(found, source)
    sample_configs = source.sample_configs() if source and isinstance(task, SuperbTask) else None
    if task is not None and sample_configs:
        ours[f"config.{task.workers_key}"] = SAMPLE_WORKERS
    if task is not None and "config" not in values:
        values["config"] = str(data.configs_folder() / (sample_configs or "") / f"{task.name}.yaml")
        if task_settings(task)["runner"].get("max_keep") == 1:
            # S3PRL deletes the old checkpoint before it writes the new one: of two, one is always whole.
            ours["config.runner.max_keep"] = 2
        if sample_configs:
            plan.notes.append(
                f"settings: downstream_configs/{sample_configs}/{task.name}.yaml, made for the samples: "
                "not the board's protocol"
            )
    values["override"] = overrides.merge(ours, values.get("override"))


def _no_samples() -> NoReturn:
    raise InputError(
        "there are no samples for this task: name the folder that holds its corpus with --data-root, or in data.yaml"
    )
