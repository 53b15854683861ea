"""Whether an encoder may stand in SUPERB's challenge track, by where its weights come from.

The track is for self-supervised learning: pairs of sound and text, text of other languages included, are barred; natural video is
not. A provenance that does not say enough is not eligible: nobody could tell.
"""

from dataclasses import dataclass

ALLOWED = {"untrained", "pretrain"}  # no text takes part in these stages


@dataclass(frozen=True)
class Eligibility:
    """cause: what keeps it out of the challenge track, None where nothing does. disclosure: which data the weights come from, for the public board."""

    cause: str | None
    disclosure: str

    @property
    def eligible(self) -> bool:
        return self.cause is None

    @property
    def reason(self) -> str:
        """One sentence."""
        if self.eligible:
            return "eligible for the challenge track: no text took part in its training"
        return f"not eligible for the challenge track, whose SSL-only clause bars pairs of audio and text: the encoder {self.cause}"


def eligibility(provenance: dict | None) -> Eligibility:
    """Judges the `provenance` of an encoder checkpoint."""
    stages = (provenance or {}).get("stages") or []
    if not stages:
        return Eligibility("does not say what it was trained on", "training data not known")
    disclosure = "; ".join(map(describe, stages))
    supervised = next((stage for stage in stages if stage.get("stage") not in ALLOWED), None)
    if supervised is None:
        return Eligibility(None, disclosure)
    if supervised.get("stage") == "midtrain":
        return Eligibility(
            f"was mid-trained on speech with translations ({supervised.get('data', 'data not named')})", disclosure
        )
    return Eligibility(
        f"has a stage '{supervised.get('stage')}', of which it is not known that it used no text", disclosure
    )


def describe(stage: dict) -> str:
    """One stage in a few words: what was learned, on which data, for how long."""
    if stage.get("stage") == "untrained":
        return "random weights, no data"
    parts = [
        str(stage.get("stage", "unknown stage")),
        stage.get("objective"),
        stage.get("data") and f"on {stage['data']}",
    ]
    steps = stage.get("steps")
    return " ".join(part for part in parts if part) + (f" ({steps} steps)" if steps is not None else "")
