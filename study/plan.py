"""The plan of a study: which encoders are trained, how, and with which heads they are scored. Read from YAML.

A plan names settings; the list of encoders follows from them. Imports no torch.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from mmpt.pretrain.settings import OBJECTIVES
from mmpt.training.settings import from_plain, require, require_one_of, require_preset
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.tasks import TASKS

PLANS = Path(__file__).resolve().parent / "plans"
SCALES = ("quick", "evening", "gpu")  # the plans in that folder
FBANK, UNTRAINED = "fbank", "untrained"


@dataclass(frozen=True)
class StudyEncoder:
    """One encoder of a study.

    Args:
        name: in tables and folders.
        kind: fbank, untrained, pretrained, midtrained, longer (the control) or also (the user's).
        objective: of pre-training; None without it.
        data: "all", or the set of clips that pre-training saw; None without it.
        language: of mid-training; None without it.
        start: the encoder that mid-training began with, or of which the control is a longer run; None: random weights.
        seed: of the random weights, and of pre-training.
    """

    name: str
    kind: str
    objective: str | None = None
    data: str | None = None
    language: str | None = None
    start: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Head:
    """How a task's heads are trained: each rate with each seed; dev chooses the rate.

    Args:
        rates: learning rates, as typed.
        steps: updates of each head; None: those of the task's configuration.
    """

    task: str
    rates: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int | None = None

    def __post_init__(self) -> None:
        require_one_of("heads.task", self.task, *(task.name for task in TASKS))
        require(bool(self.rates and self.seeds), f"heads: {self.task} needs rates and seeds")
        for rate in self.rates:
            require(_is_rate(rate), f"heads: {self.task} has the learning rate {rate}, which is no positive number")
        require(self.steps is None or self.steps > 0, f"heads: {self.task} needs at least one step")


@dataclass(frozen=True)
class Stage:
    """A training stage: its YAML file, what the plan changes in it (NAME=VALUE each), and its time."""

    config: str  # relative to the repository
    settings: tuple[str, ...]
    steps: int  # updates
    minutes: float  # of one encoder, as measured, two at a time on two cores: for the time left


@dataclass(frozen=True)
class Plan:
    """What a study runs.

    Args:
        samples: the size of the samples that it takes without data of the user's: small or full.
        preset: the encoders' sizes.
        pretrain, midtrain: the two stages.
        objectives: of pre-training, each on all clips; the first one also on each of `sets` alone.
        sets: of the samples' clips.
        languages: mid-training to them begins with each encoder of all clips, and with random weights.
        more_languages: mid-training to them begins with the first objective's encoder.
        seeds: of pre-training.
        heads: how each task is scored.
        head_minutes: of one encoder's heads, all tasks, as measured: for the time left.
        cut: what a larger study would also do, a sentence each.
        midtrained_sets: those of `sets` whose encoders are mid-trained, too, to the first language.
    """

    samples: str
    preset: str
    pretrain: Stage
    midtrain: Stage
    objectives: tuple[str, ...]
    sets: tuple[str, ...]
    languages: tuple[str, ...]
    more_languages: tuple[str, ...]
    seeds: tuple[int, ...]
    heads: tuple[Head, ...]
    head_minutes: float
    cut: tuple[str, ...]
    midtrained_sets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_one_of("samples", self.samples, "small", "full")
        require_preset(self.preset)
        require(
            bool(self.objectives and self.languages and self.seeds and self.heads),
            "a plan needs objectives, languages, seeds and heads",
        )
        missing = sorted({*self.midtrained_sets} - {*self.sets})
        require(not missing, f"midtrained_sets: {', '.join(missing)} is not among sets")
        for objective in self.objectives:
            require_one_of("objectives", objective, *OBJECTIVES)
        if len(set(self.names())) < len(self.names()):
            raise InputError("a plan names an objective, set, language or seed twice")

    def for_own_data(self, clips: bool, translations: bool) -> "Plan":
        """Return the plan for data of the user's: without the samples' sets of clips.

        Args:
            clips, translations: those of the stage are the user's; if its settings are made for the samples, `cut`
                has a sentence that says so.
        """
        cut = list(self.cut)
        if self.sets:
            cut.append("pre-training on single sets of clips, which only the samples have")
        configs = [self.pretrain.config] * clips + [self.midtrain.config] * translations
        made_for_samples = [config for config in configs if Path(config).stem == "samples"]
        if made_for_samples:
            cut.append(f"settings made for your corpora: this plan trains by {' and '.join(made_for_samples)}")
        return replace(self, sets=(), midtrained_sets=(), cut=tuple(cut))

    def names(self) -> list[str]:
        """Return the encoders' names."""
        return [encoder.name for encoder in self.encoders()]

    def encoders(self) -> list[StudyEncoder]:
        """Return the encoders, each after the one that it begins with."""
        first = [StudyEncoder(FBANK, "fbank"), StudyEncoder(UNTRAINED, "untrained", seed=self.seeds[0])]
        return first + [encoder for seed in self.seeds for encoder in self._trained(seed)]

    def _trained(self, seed: int) -> list[StudyEncoder]:
        """Return the encoders of one seed: the pre-trained ones, the mid-trained ones, and the control."""
        end = f"_seed{seed}" if len(self.seeds) > 1 else ""
        main = self.objectives[0]
        pretrained = [
            *(StudyEncoder(short(o) + end, "pretrained", o, "all", seed=seed) for o in self.objectives),
            *(StudyEncoder(f"{short(main)}_{name}{end}", "pretrained", main, name, seed=seed) for name in self.sets),
        ]
        whole = pretrained[: len(self.objectives)]
        of_sets = [encoder for encoder in pretrained if encoder.data in self.midtrained_sets]
        midtrained = [
            StudyEncoder(f"none_{language}{end}", "midtrained", language=language, seed=seed)
            for language in self.languages
        ]
        begins = ((self.languages, whole), (self.more_languages, whole[:1]), (self.languages[:1], of_sets))
        midtrained += [
            StudyEncoder(
                f"{start.name.removesuffix(end)}_{language}{end}",
                "midtrained",
                start.objective,
                start.data,
                language,
                start.name,
                seed,
            )
            for languages, starts in begins
            for language in languages
            for start in starts
        ]
        control = StudyEncoder(f"{short(main)}_longer{end}", "longer", main, "all", start=whole[0].name, seed=seed)
        return [*pretrained, *midtrained, control]


def short(objective: str) -> str:
    """Return an objective as a part of a folder's name."""
    return objective.replace("+", "_")


def _is_rate(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def read_plan(name: str) -> Plan:
    """Return the plan of a scale, or of a YAML file.

    Raises:
        InputError: there is no such file, or it is not a plan.
    """
    import yaml

    file = PLANS / f"{name}.yaml" if name in SCALES else Path(name)
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        scales = f"; the scales are {', '.join(SCALES)}" if not file.suffix else ""
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{file}: cannot be read as a plan ({reason}){scales}") from None
    try:
        return from_plain(Plan, values)
    except TypeError as error:  # a key is missing
        raise InputError(f"{file}: {str(error).partition(') ')[2] or error}") from None
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
