"""Whether an encoder may stand in SUPERB's challenge track, by where its weights come from.

The track is for self-supervised learning: pairs of sound and text, text of other languages included, are barred; natural video is
not. A provenance that does not say enough is not eligible: nobody could tell.
"""

from dataclasses import dataclass

ALLOWED = {"untrained", "pretrain"}  # no text takes part in these stages


@dataclass(frozen=True)
class Eligibility:
    """eligible: for the challenge track. reason: one sentence. disclosure: which data the weights come from, for the public board."""

    eligible: bool
    reason: str
    disclosure: str


def eligibility(provenance: dict | None) -> Eligibility:
    """Judges the `provenance` of an encoder checkpoint."""
    stages = (provenance or {}).get("stages") or []
    if not stages:
        return Eligibility(False, "not eligible for the challenge track: the checkpoint does not say what it was trained on", "training data not known")
    disclosure = "; ".join(map(describe, stages))
    supervised = [stage for stage in stages if stage.get("stage") not in ALLOWED]
    if supervised:
        stage = supervised[0]
        what = f"was mid-trained on speech with translations ({stage.get('data', 'data not named')})" if stage.get("stage") == "midtrain" else (
            f"has a stage '{stage.get('stage')}', of which it is not known that it used no text")  # fmt: skip
        return Eligibility(False, f"not eligible for the challenge track: the encoder {what}, and its SSL-only clause bars pairs of audio and text", disclosure)
    return Eligibility(True, "eligible for the challenge track: no text took part in its training", disclosure)


def describe(stage: dict) -> str:
    """One stage in a few words: what was learned, on which data, for how long."""
    if stage.get("stage") == "untrained":
        return "random weights, no data"
    parts = [str(stage.get("stage", "unknown stage")), stage.get("objective"), stage.get("data") and f"on {stage['data']}"]
    steps = stage.get("steps")
    return " ".join(part for part in parts if part) + (f" ({steps} steps)" if steps is not None else "")
