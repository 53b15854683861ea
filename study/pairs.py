"""Which encoders a study compares. Their number is small, because p-values are corrected for all of them together."""

from collections.abc import Sequence
from typing import TypeVar

from mmpt.study.plan import StudyEncoder

Kind = TypeVar("Kind", bound=StudyEncoder)


def pairs(encoders: Sequence[StudyEncoder]) -> list[tuple[str, str]]:
    """Return the pairs that a study declares before it scores, a baseline and another encoder each.

    - Each trained encoder against the untrained one.
    - Each mid-trained encoder against the one that it began with.
    - FBANK against the encoders of `main_chains`.
    - The control, which pre-trains for longer, against mid-training to the first language from the same encoder.
    """
    found = []
    for untrained in of_kind(encoders, "untrained")[:1]:
        trained = of_kind(encoders, "pretrained", "midtrained")
        found += [(untrained.name, encoder.name) for encoder in trained]
    found += [(e.start, e.name) for e in of_kind(encoders, "midtrained") if e.start is not None]
    chains = main_chains(encoders)
    for fbank in of_kind(encoders, "fbank"):
        found += [(fbank.name, encoder.name) for chain in chains for encoder in chain]
    return found + control_pairs(encoders)


def translation_pairs(encoders: Sequence[StudyEncoder]) -> list[tuple[str, str]]:
    """Return the pairs whose translations are compared: mid-training from nothing, and from each pre-trained encoder.

    Both are of one seed, and translate to the first language.
    """
    scratch = {
        e.seed: e.name
        for e in of_kind(encoders, "midtrained")
        if e.start is None and e.language == first_language(encoders)
    }
    return [(scratch[after.seed], after.name) for _, after in main_chains(encoders) if after.seed in scratch]


def main_chains(encoders: Sequence[Kind]) -> list[tuple[Kind, Kind]]:
    """Return each encoder that was pre-trained on all data, with the one mid-trained from it to the first language."""
    return [
        (before, after)
        for before in of_kind(encoders, "pretrained")
        for after in of_kind(encoders, "midtrained")
        if before.data == "all" and after.start == before.name and after.language == first_language(encoders)
    ]


def control_pairs(encoders: Sequence[StudyEncoder]) -> list[tuple[str, str]]:
    """Return each control, with the encoder that was mid-trained to the first language from the same start."""
    return [
        (control.name, after.name)
        for control in of_kind(encoders, "longer")
        for before, after in main_chains(encoders)
        if control.start == before.name
    ]


def first_language(encoders: Sequence[StudyEncoder]) -> str | None:
    """Return the language that the plan names first; None without mid-training."""
    return next((encoder.language for encoder in of_kind(encoders, "midtrained")), None)


def of_kind(encoders: Sequence[Kind], *kinds: str) -> list[Kind]:
    """Return the encoders of these kinds, in order."""
    return [encoder for encoder in encoders if encoder.kind in kinds]
