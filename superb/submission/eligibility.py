"""Judge whether an encoder may enter SUPERB's challenge track, by where its weights come from.

The track is for self-supervised learning. It bars pairs of sound and text, text of other languages included, and allows
natural video. An encoder whose provenance is unknown is not eligible.
"""

from dataclasses import dataclass

ALLOWED = {"untrained", "pretrain"}  # no text takes part in these stages


@dataclass(frozen=True)
class Eligibility:
    """The verdict.

    Args:
        cause: what keeps the encoder out of the challenge track; None if nothing does.
        disclosure: which data the weights come from, for the public board.
    """

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
        clause = "whose SSL-only clause bars pairs of audio and text"
        return f"not eligible for the challenge track, {clause}: the encoder {self.cause}"


def judge(provenance: dict | None) -> Eligibility:
    """Judge the `provenance` of an encoder checkpoint."""
    stages = (provenance or {}).get("stages") or []
    if not stages:
        return Eligibility("does not say what it was trained on", "training data not known")
    disclosure = "; ".join(map(describe_stage, stages))
    supervised = next((stage for stage in stages if stage.get("stage") not in ALLOWED), None)
    if supervised is None:
        return Eligibility(None, disclosure)
    if supervised.get("stage") == "midtrain":
        data = supervised.get("data", "data not named")
        return Eligibility(f"was mid-trained on speech with texts ({data})", disclosure)
    stage = supervised.get("stage")
    return Eligibility(f"has a stage '{stage}', of which it is not known that it used no text", disclosure)


def describe_stage(stage: dict) -> str:
    """Return one stage in a few words: what was learned, on which data, for how long."""
    if stage.get("stage") == "untrained":
        return "random weights, no data"
    parts = [
        str(stage.get("stage", "unknown stage")),
        stage.get("objective"),
        stage.get("data") and f"on {stage['data']}",
    ]
    steps = stage.get("steps")
    return " ".join(part for part in parts if part) + (f" ({steps} steps)" if steps is not None else "")
