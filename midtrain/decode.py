"""Beam search, for a batch at once; an utterance's translation does not depend on what else is in the batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmpt.midtrain.decoder import Past
from mmpt.midtrain.model import TranslationModel
from mmpt.midtrain.vocabulary import BOS, EOS, PAD
from mmpt.training.settings import require

SPARE_TOKENS = 10  # a translation may be as long as its utterance has states, and this much longer


@dataclass(frozen=True)
class SearchSettings:
    """beam: hypotheses an utterance, 1 is greedy; length_penalty: power of the length that scores are divided by; max_tokens: of a text."""

    beam: int = 5
    length_penalty: float = 1.0
    max_tokens: int = 200

    def __post_init__(self):
        require(min(self.beam, self.max_tokens) >= 1, "the beam and the longest text must be at least 1")
        require(
            -10 <= self.length_penalty <= 10, f"a length penalty lies between -10 and 10, got {self.length_penalty:g}"
        )


GREEDY = SearchSettings(beam=1)


@dataclass(frozen=True)
class Hypothesis:
    """tokens: without BOS and EOS; score: sum of their log-probabilities and EOS's over (number of tokens + 1) ** length_penalty."""

    tokens: list[int]
    score: float


@torch.no_grad()
def translate(model: TranslationModel, feats: list[Tensor], settings: SearchSettings) -> list[Hypothesis]:
    """The best text that is found for each utterance, by the rules of fairseq's generator: of the 2 * beam likeliest
    continuations those that end among the first `beam` are finished; the search is over when `beam` are. At the limit, which
    hangs on the utterance's length, a text has to end; it has one token at least.

    Args:
        feats: list of (frames, n_mels), normalised.
    """
    memory, states = model.encode(feats)
    search = Search(len(feats), states, settings)
    past = Past(len(model.decoder.layers))
    token = torch.full((len(feats) * settings.beam, 1), BOS, device=states.device)
    while True:
        logits = model.decoder.logits(model.decoder(token, memory, past)[:, -1])
        parents, going = search.advance(logits.float().log_softmax(-1))
        if going is not None and len(going) == 0:
            return search.results()
        if settings.beam > 1 or going is not None:
            past.select(parents)
        if going is not None:
            memory = memory.select(going)
        token = search.texts[:, :, -1].reshape(-1, 1)


class Search:
    """The hypotheses of the utterances that are not over yet: `utterances` (U,) are their numbers, texts (U, K, n), scores (U, K)."""

    def __init__(self, number: int, states: Tensor, settings: SearchSettings):
        device, beam = states.device, settings.beam
        self.settings = settings
        self.limits = (states + SPARE_TOKENS).clamp(max=settings.max_tokens)
        self.utterances = torch.arange(number, device=device)
        self.texts = torch.empty(number, beam, 0, dtype=torch.int64, device=device)
        self.scores = torch.full((number, beam), -torch.inf, device=device)
        self.scores[:, 0] = 0.0  # all begin alike: one is enough
        self.finished = torch.zeros(number, dtype=torch.int64, device=device)
        # Of all utterances, the best finished text so far.
        self.best_scores = torch.full((number,), -torch.inf, device=device)
        self.best_lengths = torch.zeros(number, dtype=torch.int64, device=device)
        self.best_texts = torch.zeros(number, settings.max_tokens, dtype=torch.int64, device=device)

    def advance(self, log_probs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Takes each hypothesis a token further.

        Args:
            log_probs: (U * K, vocabulary) of the next token.

        Returns:
            Rows of the hypotheses' parents, for what is kept of each (U' * K,), and which utterances go on, None where all do.
        """
        beam, size, length = self.settings.beam, log_probs.shape[-1], self.texts.shape[2]
        log_probs = log_probs.view(-1, beam, size)
        log_probs[:, :, [PAD, BOS] if length else [PAD, BOS, EOS]] = -torch.inf
        must_end = self.limits == length
        log_probs.masked_fill_(
            must_end[:, None, None] & (torch.arange(size, device=log_probs.device) != EOS), -torch.inf
        )
        totals = (self.scores[:, :, None] + log_probs).flatten(1)
        scores, places = totals.topk(min(2 * beam, beam * size), dim=1)
        parents, tokens = places // size, places % size
        ends = (tokens == EOS) & scores.isfinite()
        self.finish(scores[:, :beam], parents[:, :beam], ends[:, :beam])
        # The likeliest that do not end, in their order.
        order = ends * ends.shape[1] + torch.arange(ends.shape[1], device=ends.device)
        live = order.topk(beam, dim=1, largest=False).indices
        scores = scores.masked_fill(tokens == EOS, -torch.inf)
        self.scores, parents, tokens = (x.gather(1, live) for x in (scores, parents, tokens))
        self.texts = torch.cat(
            [self.texts.gather(1, parents[:, :, None].expand(-1, -1, length)), tokens[:, :, None]], dim=2
        )
        over = must_end | (self.finished >= beam)
        rows = parents + beam * torch.arange(len(parents), device=parents.device)[:, None]
        if not over.any():  # the one thing that the processor has to know of a step
            return rows.flatten(), None
        going = (~over).nonzero().squeeze(1)
        self.utterances, self.limits, self.texts, self.scores, self.finished = (
            x[going] for x in (self.utterances, self.limits, self.texts, self.scores, self.finished)
        )
        return rows[going].flatten(), going

    def finish(self, scores: Tensor, parents: Tensor, ends: Tensor) -> None:
        """Counts the hypotheses that end, and keeps the best.

        Args:
            scores, parents, ends: (U, K), of the likeliest continuations.
        """
        length = self.texts.shape[2]
        self.finished = self.finished + ends.sum(1)
        value, at = (scores / (length + 1) ** self.settings.length_penalty).masked_fill(~ends, -torch.inf).max(1)
        parent = parents.gather(1, at[:, None])
        text = self.texts.gather(1, parent[:, :, None].expand(-1, 1, length)).squeeze(1)
        who, better = self.utterances, value > self.best_scores[self.utterances]
        self.best_scores[who] = torch.where(better, value, self.best_scores[who])
        self.best_lengths[who] = torch.where(better, length, self.best_lengths[who])
        self.best_texts[who, :length] = torch.where(better[:, None], text, self.best_texts[who, :length])

    def results(self) -> list[Hypothesis]:
        """The best of each utterance."""
        texts = zip(self.best_texts.tolist(), self.best_lengths.tolist(), self.best_scores.tolist())
        return [Hypothesis(text[:length], score) for text, length, score in texts]
