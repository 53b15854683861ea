"""Results of stage 2 on held-out segments, collected batch by batch and rank by rank."""

import math

import jiwer
from torch import Tensor

from mmpt.midtrain.batches import Batch
from mmpt.midtrain.ctc import spoken
from mmpt.midtrain.segments import Segment

# The unit that each loss is a mean over.
COUNTED_IN = {"translation": "tokens", "nll": "tokens", "ctc": "transcript_tokens"}


class HeldOutSegments:
    """Losses, translations and transcripts of held-out segments.

    Attributes:
        translations: the model's translation of each segment, by id.
        transcripts: the transcript that CTC finds for each segment, by id; empty without CTC.
    """

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}  # of each loss, and of the units that they are divided by
        self.translations: dict[str, str] = {}
        self.transcripts: dict[str, str] = {}

    def add(
        self,
        batch: Batch,
        counts: dict[str, int],
        losses: dict[str, Tensor],
        translations: list[str],
        transcripts: list[str],
    ) -> None:
        """Add a batch, whose losses are means over its `counts`."""
        names = [segment.id for segment in batch.segments]
        self.translations.update(zip(names, translations))
        self.transcripts.update(zip(names, transcripts))
        for name, value in losses.items():
            self.add_to_sum(name, value.item() * counts[COUNTED_IN[name]])
        for unit in set(COUNTED_IN.values()):
            self.add_to_sum(unit, counts[unit])

    def add_to_sum(self, name: str, value: float) -> None:
        self.sums[name] = self.sums.get(name, 0) + value

    def merge(self, ranks: list["HeldOutSegments"]) -> None:
        """Take over the results of all ranks."""
        sums = [rank.sums for rank in ranks]  # one of them may be this object's own
        self.sums = {}
        for name, value in (item for one in sums for item in one.items()):
            self.add_to_sum(name, value)
        self.translations = {name: text for rank in ranks for name, text in rank.translations.items()}
        self.transcripts = {name: text for rank in ranks for name, text in rank.transcripts.items()}

    def losses(self, ctc_weight: float) -> dict[str, float]:
        """Return means over all tokens, by name; `loss` is the loss that training minimises."""
        means = {
            name: self.sums[name] / max(1, self.sums[unit]) for name, unit in COUNTED_IN.items() if name in self.sums
        }
        loss = means["translation"] + ctc_weight * means.get("ctc", 0.0)
        return {"loss": loss, **means, "perplexity": math.exp(min(means["nll"], 50))}

    def word_errors(self, segments: list[Segment]) -> dict[str, float]:
        """Return the word error rate (%) of the transcripts, if there are any. Segments without words are left out."""
        pairs = [
            (words, self.transcripts[s.id])
            for s in segments
            if s.id in self.transcripts and (words := spoken(s.source))
        ]
        if not pairs:
            return {}
        return {"transcript_wer": 100 * jiwer.wer([words for words, _ in pairs], [found for _, found in pairs])}
