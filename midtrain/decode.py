"""Greedy decoding of a batch; an utterance's translation does not depend on what else is in the batch."""

import torch
from torch import Tensor

from mmpt.midtrain.decoder import Past
from mmpt.midtrain.model import TranslationModel
from mmpt.midtrain.vocabulary import BOS, EOS, PAD

SPARE_TOKENS = 10  # a translation may be as long as its utterance has states, and this much longer


@torch.no_grad()
def greedy(model: TranslationModel, feats: list[Tensor], max_tokens: int = 200) -> list[list[int]]:
    """The likeliest next token, again and again, until EOS.

    Args:
        feats: list of (frames, n_mels), normalised.
        max_tokens: longest translation (200: fairseq's limit).
    Returns:
        Tokens of each utterance, without BOS and EOS.
    """
    memory, states = model.encode(feats)
    limits = (states + SPARE_TOKENS).clamp(max=max_tokens)
    past = Past(len(model.decoder.layers))
    texts: list[list[int]] = [[] for _ in feats]
    rows = torch.arange(len(feats), device=states.device)  # utterances not yet at their end
    token = torch.full((len(feats), 1), BOS, device=states.device)
    for length in range(1, max_tokens + 1):
        logits = model.decoder.logits(model.decoder(token, memory, past)[:, -1]).float()
        logits[:, [PAD, BOS]] = -torch.inf
        token = logits.argmax(-1, keepdim=True)
        ended = token.squeeze(1) == EOS
        for row, value, over in zip(rows.tolist(), token.squeeze(1).tolist(), ended.tolist()):
            if not over:
                texts[row].append(value)
        going = (~ended & (limits > length)).nonzero().squeeze(1)
        if len(going) == 0:
            break
        if len(going) < len(rows):
            past.select(going)
            memory, rows, limits, token = memory.select(going), rows[going], limits[going], token[going]
    return texts
