"""Beam search against an exhaustive search, against a simple one, alone and in batches."""

import itertools
import math

import pytest
import torch

from mmpt.midtrain.decode import GREEDY, SPARE_TOKENS, translate
from mmpt.midtrain.decoder import Past
from mmpt.midtrain.model import TranslationModel
from mmpt.midtrain.settings import DecoderSettings, SearchSettings
from mmpt.midtrain.vocabulary import BOS, EOS, PAD
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

TINY = EncoderConfig(conv_channels=16, d_model=16, n_layers=1, n_heads=2, ffn_dim=32, depthwise_kernel=3)
DECODER = DecoderSettings(n_layers=2, n_heads=2, ffn_dim=32)


def make_model(size, seed=0, strength=0.3):
    torch.manual_seed(seed)
    model = TranslationModel(Encoder(TINY), size, DECODER).eval()
    with torch.no_grad():  # far from the initial values, so that a mistake shows
        for parameter in model.decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * strength)
    model.known = {}  # results of `next_log_probs`
    return model


def features(*frames):
    return [torch.randn(n, 80, generator=torch.Generator().manual_seed(n)) for n in frames]


@torch.no_grad()
def next_log_probs(model, feats, text):
    """Return log-probabilities of the token after BOS and a text, without a cache."""
    memory, _ = model.encode([feats])
    return model.decoder.logits(model.decoder(torch.tensor([[BOS, *text]]), memory))[0, -1].log_softmax(-1).tolist()


def limit_of(feats, settings):
    return min(settings.max_tokens, math.ceil(len(feats) / 4) + SPARE_TOKENS)


def exhaustive(model, feats, settings):
    """Return the best of all texts up to the limit, each scored by itself."""
    tokens = [t for t in range(model.decoder.embedding.num_embeddings) if t not in (PAD, BOS, EOS)]
    found = []
    for length in range(1, settings.max_tokens + 1):
        for text in itertools.product(tokens, repeat=length):
            total = sum(next_log_probs_cached(model, feats, text[:n])[token] for n, token in enumerate((*text, EOS)))
            found.append((total / (length + 1) ** settings.length_penalty, list(text)))
    return max(found), len(found)


def next_log_probs_cached(model, feats, text):
    if (len(feats), text) not in model.known:
        model.known[len(feats), text] = next_log_probs(model, feats, text)
    return model.known[len(feats), text]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 1.5])
def test_a_beam_as_large_as_the_space_finds_the_best_text(seed, penalty):
    model, (feats,) = make_model(7, seed), features(30 + seed)
    (score, text), texts = exhaustive(model, feats, SearchSettings(1, penalty, max_tokens=3))
    assert texts == 4 + 16 + 64
    (found,) = translate(model, [feats], SearchSettings(beam=100, length_penalty=penalty, max_tokens=3))
    assert found.tokens == text and found.score == pytest.approx(score, abs=1e-4)


def simple_search(model, feats, settings):
    """Beam search with lists, one hypothesis at a time."""
    live, finished, limit = [(0.0, ())], [], limit_of(feats, settings)
    for length in range(limit + 1):
        candidates = []
        for number, (total, text) in enumerate(live):
            for token, value in enumerate(next_log_probs_cached(model, feats, text)):
                if token in (PAD, BOS) or (token == EOS and length == 0) or (token != EOS and length == limit):
                    continue
                candidates.append((total + value, -number, -token, text, token))
        candidates = sorted(candidates, reverse=True)[: 2 * settings.beam]
        for total, _, _, text, token in candidates[: settings.beam]:
            if token == EOS and len(finished) < settings.beam:
                finished.append((total / (length + 1) ** settings.length_penalty, text))
        live = [(total, (*text, token)) for total, _, _, text, token in candidates if token != EOS][: settings.beam]
        if len(finished) == settings.beam or not live:
            break
    score, text = max(finished, key=lambda one: one[0])
    return list(text), score


@pytest.mark.parametrize("beam", [1, 2, 3, 5])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 1.5])
def test_it_finds_what_the_simple_search_finds(beam, penalty):
    settings = SearchSettings(beam, penalty, max_tokens=14)
    feats = features(8, 30, 61)  # the first is so short that its own limit, 12, counts
    for seed in range(6):
        # With fewer tokens, more texts end early.
        model = make_model(11, seed, strength=0.15) if seed % 2 else make_model(6, seed, strength=0.1)
        found = translate(model, feats, settings)
        for one, utterance in zip(found, feats):
            text, score = simple_search(model, utterance, settings)
            assert one.tokens == text and one.score == pytest.approx(score, abs=1e-4)


def test_a_wider_beam_finds_better_texts():
    """And beams give different texts at all, or the test above would show little."""
    feats, model = features(*range(20, 60, 3)), make_model(11, 1, strength=0.15)
    scores = {beam: [one.score for one in translate(model, feats, SearchSettings(beam, 0.0, 12))] for beam in (1, 5)}
    texts = {beam: [one.tokens for one in translate(model, feats, SearchSettings(beam, 0.0, 12))] for beam in (1, 5)}
    assert texts[1] != texts[5] and sum(scores[5]) > sum(scores[1]) + 0.1


@pytest.mark.parametrize("beam", [1, 5])
def test_a_batch_gives_the_same_texts_as_single_utterances(beam):
    settings, feats = SearchSettings(beam, 1.0, 30), features(90, 17, 44, 8, 120)
    model = make_model(23)
    together = translate(model, feats, settings)
    alone = [translate(model, [f], settings)[0] for f in feats]
    assert [one.tokens for one in together] == [one.tokens for one in alone]
    assert [one.score for one in together] == pytest.approx([one.score for one in alone], abs=1e-4)
    assert len({len(one.tokens) for one in together}) > 1  # utterances left the batch at different times
    assert all(len(one.tokens) <= limit_of(f, settings) for one, f in zip(together, feats))


def test_beam_1_takes_the_likeliest_token_each_time():
    model, (feats,) = make_model(23), features(33)
    (found,) = translate(model, [feats], SearchSettings(1, 1.0, 12))
    for n in range(len(found.tokens)):
        values = next_log_probs(model, feats, found.tokens[:n])
        allowed = [t for t in range(23) if t not in ((PAD, BOS) if n else (PAD, BOS, EOS))]
        assert found.tokens[n] == max(allowed, key=lambda t: values[t])


def test_hypotheses_of_an_utterance_share_its_memory():
    """Three hypotheses per utterance give the same states as when each has its own copy of the memory."""
    model = make_model(23)
    tokens = torch.randint(4, 23, (6, 5))
    with torch.no_grad():
        memory, _ = model.encode(features(40, 13))
        repeated = memory.select(torch.tensor([0, 0, 0, 1, 1, 1]))
        whole = model.decoder(tokens, repeated)
        assert torch.allclose(model.decoder(tokens, memory), whole, atol=1e-5)
        past = Past(len(model.decoder.layers))
        steps = torch.cat([model.decoder(tokens[:, i : i + 1], memory, past) for i in range(5)], dim=1)
    assert torch.allclose(steps, whole, atol=1e-5)


def test_bfloat16_searches_too():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = translate(make_model(23), features(40, 13), SearchSettings(3))
    assert all(one.tokens and math.isfinite(one.score) for one in found)


def test_settings_must_make_sense():
    assert GREEDY.beam == 1
    for wrong in ({"beam": 0}, {"max_tokens": 0}, {"length_penalty": math.nan}):
        with pytest.raises(InputError):
            SearchSettings(**wrong)
