"""What a study's encoders are called on its page."""

from collections.abc import Sequence

from mmpt.study.plan import StudyEncoder
from mmpt.superb.report.collect import METHODS

NO_START = "no pre-training"


def language_name(language: str | None) -> str:
    """Return what a column of mid-training is called, such as "en-it"."""
    return f"en-{language}" if language else "not mid-trained"


def method_name(encoder: StudyEncoder) -> str:
    """Return how an encoder was pre-trained, such as "CLR on speech-games"."""
    if encoder.objective is None:
        return NO_START
    of_set = "" if encoder.data in (None, "all") else f" on {encoder.data}"
    return METHODS.get(encoder.objective, encoder.objective) + of_set


def encoder_name(encoder: StudyEncoder, encoders: Sequence[StudyEncoder]) -> str:
    """Return an encoder's name on the page, such as "CLR + en-it"; with its seed if the study has several."""
    if encoder.kind == "fbank":
        return "log-mel FBANK"
    if encoder.kind == "also":
        return encoder.name
    name = {
        "untrained": "untrained",
        "pretrained": method_name(encoder),
        "midtrained": f"{method_name(encoder)} + {language_name(encoder.language)}",
        "longer": f"{method_name(encoder)}, longer (control)",
    }[encoder.kind]
    return name + (seed_name(encoder, encoders) if encoder.kind != "untrained" else "")


def seed_name(encoder: StudyEncoder, encoders: Sequence[StudyEncoder]) -> str:
    """Return ", seed N", or nothing if all encoders have one seed."""
    return f", seed {encoder.seed}" if len(seeds(encoders)) > 1 else ""


def seeds(encoders: Sequence[StudyEncoder]) -> list[int]:
    """Return the seeds of pre-training and of mid-training from nothing, in order."""
    trained = [encoder.seed for encoder in encoders if encoder.kind in ("pretrained", "midtrained")]
    return list(dict.fromkeys(trained))
