"""Beam search over a whole batch. A translation does not depend on the other utterances of its batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmpt.midtrain.decoder import Past
from mmpt.midtrain.model import TranslationModel
from mmpt.midtrain.settings import SearchSettings
from mmpt.midtrain.vocabulary import BOS, EOS, PAD

SPARE_TOKENS = 10  # a translation may have this many tokens more than its utterance has states


GREEDY = SearchSettings(beam=1)


@dataclass(frozen=True)
class Hypothesis:
    """A finished text."""

    tokens: list[int]  # without BOS and EOS
    score: float  # sum of the log-probabilities of the tokens and EOS, over (number of tokens + 1) ** length_penalty


@torch.no_grad()
def translate(model: TranslationModel, feats: list[Tensor], settings: SearchSettings) -> list[Hypothesis]:
    """Return the best text found for each utterance, by the rules of fairseq's generator.

    Of the 2 * beam likeliest continuations, those that end among the first `beam` are finished texts. An utterance is
    done when `beam` of its texts are finished. A text has at least one token, and must end at a limit that depends on
    the utterance's length.

    Args:
        model: in evaluation mode.
        feats: list of (frames, n_mels), normalised.
        settings: width and limits of the search.
    """
    memory, states = model.encode(feats)
    search = Search(len(feats), states, settings)
    past = Past(len(model.decoder.layers))
    token = torch.full((len(feats) * settings.beam, 1), BOS, device=states.device)
    while True:
        logits = model.decoder.logits(model.decoder(token, memory, past)[:, -1])
        parents, remaining = search.advance(logits.float().log_softmax(-1))
        if remaining is not None and len(remaining) == 0:
            return search.results()
        if settings.beam > 1 or remaining is not None:
            past.select(parents)
        if remaining is not None:
            memory = memory.select(remaining)
        token = search.texts[:, :, -1].reshape(-1, 1)


class Search:
    """The state of a beam search: K hypotheses for each of the U utterances that are not done yet.

    Attributes:
        utterances: (U,) numbers of these utterances in the batch.
        texts: (U, K, n) tokens so far.
        scores: (U, K) sums of log-probabilities.
    """

    def __init__(self, number: int, states: Tensor, settings: SearchSettings):
        device, beam = states.device, settings.beam
        self.settings = settings
        self.limits = (states + SPARE_TOKENS).clamp(max=settings.max_tokens)
        self.utterances = torch.arange(number, device=device)
        self.texts = torch.empty(number, beam, 0, dtype=torch.int64, device=device)
        self.scores = torch.full((number, beam), -torch.inf, device=device)
        self.scores[:, 0] = 0.0  # all hypotheses begin alike: one is enough
        self.finished = torch.zeros(number, dtype=torch.int64, device=device)
        # The best finished text of every utterance so far.
        self.best_scores = torch.full((number,), -torch.inf, device=device)
        self.best_lengths = torch.zeros(number, dtype=torch.int64, device=device)
        self.best_texts = torch.zeros(number, settings.max_tokens, dtype=torch.int64, device=device)

    def advance(self, log_probs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Extend each hypothesis by a token.

        Args:
            log_probs: (U * K, vocabulary) of the next token.

        Returns:
            (U' * K,) the row of each new hypothesis's parent; (U',) which utterances remain, None if all do.
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
        # Continue with the likeliest that do not end, in their order.
        order = ends * ends.shape[1] + torch.arange(ends.shape[1], device=ends.device)
        live = order.topk(beam, dim=1, largest=False).indices
        scores = scores.masked_fill(tokens == EOS, -torch.inf)
        self.scores, parents, tokens = (x.gather(1, live) for x in (scores, parents, tokens))
        self.texts = torch.cat(
            [self.texts.gather(1, parents[:, :, None].expand(-1, -1, length)), tokens[:, :, None]], dim=2
        )
        over = must_end | (self.finished >= beam)
        rows = parents + beam * torch.arange(len(parents), device=parents.device)[:, None]
        if not over.any():  # the only value that each step copies from the GPU
            return rows.flatten(), None
        remaining = (~over).nonzero().squeeze(1)
        self.utterances, self.limits, self.texts, self.scores, self.finished = (
            x[remaining] for x in (self.utterances, self.limits, self.texts, self.scores, self.finished)
        )
        return rows[remaining].flatten(), remaining

    def finish(self, scores: Tensor, parents: Tensor, ends: Tensor) -> None:
        """Count the hypotheses that end, and keep the best of each utterance.

        Args:
            scores: (U, K) of the likeliest continuations.
            parents: (U, K) the hypothesis that each continues.
            ends: (U, K) True for those that end.
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
        """Return the best text of each utterance."""
        texts = zip(self.best_texts.tolist(), self.best_lengths.tolist(), self.best_scores.tolist())
        return [Hypothesis(text[:length], score) for text, length, score in texts]
