"""What stage 2 makes of held-out segments, added up batch by batch and rank by rank."""

import math
from collections import Counter

import jiwer
from torch import Tensor

from mmpt.midtrain.batches import Batch
from mmpt.midtrain.ctc import spoken
from mmpt.midtrain.segments import Segment

COUNTED_IN = {"translation": "tokens", "nll": "tokens", "ctc": "transcript_tokens"}  # what a loss is a mean over


class HeldOut:
    """translations: of each segment, by id; transcripts: what CTC read off, likewise."""

    def __init__(self):
        self.sums: Counter = Counter()  # of each loss, and of what they are divided by
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
        """A batch: its losses are means. transcripts: none without CTC."""
        names = [segment.id for segment in batch.segments]
        self.translations.update(zip(names, translations))
        self.transcripts.update(zip(names, transcripts))
        for name, value in losses.items():
            self.sums[name] += value.item() * counts[COUNTED_IN[name]]
        self.sums.update({unit: counts[unit] for unit in set(COUNTED_IN.values())})

    def bring_together(self, everyones: list["HeldOut"]) -> None:
        """Takes over what all ranks have added."""
        self.sums = sum((one.sums for one in everyones), Counter())
        self.translations = {name: text for one in everyones for name, text in one.translations.items()}
        self.transcripts = {name: text for one in everyones for name, text in one.transcripts.items()}

    def losses(self, ctc_weight: float) -> dict[str, float]:
        """Means over all tokens, by name; `loss` is what training minimises."""
        means = {
            name: self.sums[name] / max(1, self.sums[unit]) for name, unit in COUNTED_IN.items() if name in self.sums
        }
        loss = means["translation"] + ctc_weight * means.get("ctc", 0.0)
        return {"loss": loss, **means, "perplexity": math.exp(min(means["nll"], 50))}

    def word_errors(self, segments: list[Segment]) -> dict[str, float]:
        """Word error rate (%) of the transcripts; nothing without them. Segments in which nobody speaks are left out."""
        pairs = [
            (words, self.transcripts[s.id])
            for s in segments
            if s.id in self.transcripts and (words := spoken(s.source))
        ]
        return {"transcript_wer": 100 * jiwer.wer(*map(list, zip(*pairs)))} if pairs else {}
