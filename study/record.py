"""study.json, the file in a study's folder that describes its encoders. This module alone reads and writes it.

The encoders' scores lie beside it, in results.json (`mmpt.superb.results`), under the same names.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from mmpt.study.plan import StudyEncoder
from mmpt.training.settings import from_plain, lists_for_tuples, require, require_one_of
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text

FILE = "study.json"
SUMMARY = "study.md"  # the page as text
KINDS = ("fbank", "untrained", "pretrained", "midtrained", "longer", "also")


@dataclass(frozen=True)
class Bleu:
    """How well a mid-trained encoder's model translates: BLEU from 0 to 100, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MadeEncoder(StudyEncoder):
    """An encoder, and what its training gave.

    Args:
        bleu: None unless it was mid-trained, or if its translations were not scored.
        minutes: that its training took, without the one of `start` and without translating; None if there was none yet.
    """

    bleu: Bleu | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class TranslationTest:
    """The paired test of two mid-trained encoders' translations by BLEU.

    Args:
        baseline: name of an encoder.
        encoder: of the other one.
        p: two-sided, not yet corrected for the other tests.
    """

    baseline: str
    encoder: str
    p: float


@dataclass(frozen=True)
class Study:
    """What a study trained.

    Args:
        plan: its scale, or the file of its plan.
        encoders: in the order of the plan.
        cut: what a larger study would also do, a sentence each.
        settings: name and text of what its results depend on: sizes, steps, rates, data.
        translation_tests: of `pairs.translation_pairs`.
        made_by: name and text of what a reader must know besides to repeat it: command, machine, versions.
        is_trial: its trainings and heads were cut short to try the plan (`--steps`), so that its figures say nothing.
    """

    plan: str
    encoders: tuple[MadeEncoder, ...]
    cut: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    translation_tests: tuple[TranslationTest, ...] = ()
    made_by: tuple[tuple[str, str], ...] = ()
    is_trial: bool = False

    def __post_init__(self) -> None:
        names = [encoder.name for encoder in self.encoders]
        for encoder in self.encoders:
            require_one_of(f"the kind of {encoder.name}", encoder.kind, *KINDS)
            require(names.count(encoder.name) == 1, f"two encoders are called {encoder.name}")
            require(
                encoder.start is None or encoder.start in names,
                f"{encoder.name} starts from {encoder.start}, which is not among the encoders",
            )
        for test in self.translation_tests:
            for name in (test.baseline, test.encoder):
                require(name in names, f"a translation test names {name}, which is not among the encoders")


def read_study(folder: Path) -> Study:
    """Return the content of a folder's study.json.

    Raises:
        InputError: it is missing, or is not what `mmpt study` writes.
    """
    file = folder / FILE
    try:
        return from_plain(Study, json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; `mmpt study` writes it") from None
    except ValueError:
        raise InputError(f"{file}: is damaged; --fresh starts the study again") from None
    except TypeError as error:  # a key is missing
        raise InputError(f"{file}: is not what `mmpt study` writes ({str(error).partition(') ')[2]})") from None
    except InputError as error:
        raise InputError(f"{file}: is not what `mmpt study` writes ({error})") from None


def write_study(folder: Path, study: Study) -> None:
    """Write a folder's study.json."""
    folder.mkdir(parents=True, exist_ok=True)
    content = lists_for_tuples(dataclasses.asdict(study))
    write_text(folder / FILE, json.dumps(content, indent=2) + "\n")
