"""The translation model: causality, padding, loss, decoding, batches, and that it learns."""

import math

import mock_must_c
import pytest
import torch

from mmpt.midtrain.batches import load, ordered_batches, pad, training_batches
from mmpt.midtrain.decode import greedy
from mmpt.midtrain.decoder import DecoderSettings, Past
from mmpt.midtrain.model import TranslationModel, smoothed_loss
from mmpt.midtrain.must_c import read_split
from mmpt.midtrain.specaugment import SpecAugmentSettings, augment, item_generator
from mmpt.midtrain.translation import Corpus, DataSettings, MidtrainSettings, TranslationTask
from mmpt.midtrain.vocabulary import BOS, EOS, PAD, train_vocabulary
from mmpt.pretrain.distributed import Counts
from mmpt.pretrain.run_folder import RunFolder
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

SIZE = 23
TINY = EncoderConfig(conv_channels=16, d_model=16, n_layers=2, n_heads=2, ffn_dim=32, depthwise_kernel=3)
DECODER = DecoderSettings(n_layers=2, n_heads=2, ffn_dim=32)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = TranslationModel(Encoder(TINY), SIZE, DECODER).eval()
    with torch.no_grad():  # far from its start, so that a mistake shows
        for parameter in model.decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def features(*frames):
    return [torch.randn(n, 80, generator=torch.Generator().manual_seed(n)) for n in frames]


def test_a_later_token_changes_no_earlier_prediction(model):
    memory, _ = model.encode(features(50, 31))
    tokens = torch.randint(4, SIZE, (2, 9))
    changed = tokens.clone()
    changed[:, 6] = (tokens[:, 6] - 3) % (SIZE - 4) + 4
    with torch.no_grad():
        before, after = (model.decoder.logits(model.decoder(t, memory)) for t in (tokens, changed))
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])


def test_alone_and_in_a_batch_give_the_same_logits(model):
    feats = features(90, 17, 44)
    texts = [[5, 6, 7], [8, 9, 10, 11, 12, 13], [14]]
    with torch.no_grad():
        together, outputs = model(feats, pad([[BOS, *t] for t in texts]), pad([[*t, EOS] for t in texts]))
        alone = [model([f], torch.tensor([[BOS, *t]]), torch.tensor([[*t, EOS]]))[0] for f, t in zip(feats, texts)]
    assert outputs.tolist() == [token for t in texts for token in (*t, EOS)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_token_by_token_gives_the_logits_of_the_whole(model):
    tokens = torch.randint(4, SIZE, (3, 7))
    with torch.no_grad():
        memory, _ = model.encode(features(40, 60, 13))
        whole = model.decoder(tokens, memory)
        past = Past(len(model.decoder.layers))
        steps = torch.cat([model.decoder(tokens[:, i : i + 1], memory, past) for i in range(7)], dim=1)
    assert torch.allclose(whole, steps, atol=1e-5)


def test_greedy_in_a_batch_is_greedy_alone(model):
    feats = features(90, 17, 44, 8)
    together = greedy(model, feats, max_tokens=30)
    assert together == [greedy(model, [f], max_tokens=30)[0] for f in feats]
    assert len(set(map(len, together))) > 1  # or nothing was tested: rows must leave the batch at different times
    assert [len(t) for t in together] <= [30, 15, 21, 12]


def test_greedy_is_the_likeliest_token_each_time(model):
    feats = features(33)
    text = greedy(model, feats, max_tokens=12)[0]
    with torch.no_grad():
        memory, _ = model.encode(feats)
        for n, token in enumerate(text):
            logits = model.decoder.logits(model.decoder(torch.tensor([[BOS, *text[:n]]]), memory))[0, -1]
            logits[[PAD, BOS]] = -math.inf
            assert logits.argmax() == token


def test_label_smoothing_is_the_slow_sum():
    logits, outputs = torch.randn(5, 7, dtype=torch.float64) * 3, torch.tensor([0, 3, 6, 3, 2])
    total = nll = 0.0
    for row, right in zip(logits.tolist(), outputs.tolist()):
        norm = math.log(sum(math.exp(x) for x in row))
        for token, x in enumerate(row):
            total -= (0.9 if token == right else 0.1 / 6) * (x - norm) / 5
        nll -= (row[right] - norm) / 5
    loss, plain = smoothed_loss(logits, outputs, 0.1)
    assert loss.item() == pytest.approx(total, rel=1e-5) and plain.item() == pytest.approx(nll, rel=1e-5)
    assert torch.equal(*smoothed_loss(logits, outputs, 0.0))


def test_specaugment_hides_no_more_than_it_may_and_repeats():
    feats, settings = torch.ones(50, 80), SpecAugmentSettings(freq_width=27, time_width=100, time_share=0.2)
    hidden = []
    for n in range(200):
        one = augment(feats, settings, item_generator(0, n, "ted_1_0"))
        assert torch.equal(one, augment(feats, settings, item_generator(0, n, "ted_1_0")))
        rows, columns = (one == 0).all(1).sum().item(), (one == 0).all(0).sum().item()
        hidden.append((rows, columns))
    assert max(r for r, _ in hidden) == 9 and max(c for _, c in hidden) == 26
    assert feats.min() == 1
    assert torch.equal(augment(feats[:1], SpecAugmentSettings(0, 27, 1, 100), item_generator(1)), feats[:1])


@pytest.fixture
def corpus(tmp_path):
    root = mock_must_c.corpus(tmp_path / "must_c")
    train, dev = (read_split(root, "it", name, 3000) for name in ("train", "dev"))
    return Corpus("must_c en-it", train, dev, None)


def test_batches_hold_every_segment_once_within_the_limit(corpus):
    segments = corpus.train.segments
    first, again, other = (training_batches(segments, 200, 0, epoch) for epoch in (0, 0, 1))
    assert first == again != other
    for batches in (first, other, ordered_batches(segments, 200)):
        assert sorted(s.id for batch in batches for s in batch) == sorted(s.id for s in segments)
        assert all(sum(s.frames for s in batch) <= 200 or len(batch) == 1 for batch in batches)
    assert len(training_batches(segments, 1, 0, 0)) == len(segments)


def make_task(corpus, folder, **settings):
    vocabulary = train_vocabulary([s.target for s in corpus.train.segments], 40)
    settings = MidtrainSettings(target_lang="it", device="cpu", decoder=DECODER, data=DataSettings(workers=0, batch_frames=400), **settings)
    torch.manual_seed(0)
    return TranslationTask(settings, corpus, vocabulary, Encoder(TINY), None, RunFolder(folder))


def loss_of(task, batch):
    """Losses of an update that consists of one batch."""
    return task.loss(task.model, batch, Counts([task.counts(batch)]))


def test_three_steps_lower_the_loss_of_a_batch(corpus, tmp_path):
    task = make_task(corpus, tmp_path)
    batch = next(task.batches(0, 0))
    assert task.counts(batch)["frames"] == sum(s.frames for s in batch.segments)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=3e-3)
    losses = []
    for _ in range(4):
        task.model.eval()
        losses.append(loss_of(task, batch)["loss"].item())
        task.model.train()
        loss_of(task, batch)["loss"].backward()
        assert all(p.grad is not None for p in task.model.parameters())
        optimizer.step()
        optimizer.zero_grad()
    assert losses == sorted(losses, reverse=True) and losses[3] < losses[0] - 0.1


def test_an_epoch_goes_on_where_it_stopped(corpus, tmp_path):
    task = make_task(corpus, tmp_path)
    whole = [[s.id for s in batch.segments] for batch in task.batches(3, 0)]
    assert len(whole) > 2 and [[s.id for s in batch.segments] for batch in task.batches(3, 2)] == whole[2:]


def test_validation_weighs_tokens_and_shows_translations(corpus, tmp_path):
    task = make_task(corpus, tmp_path)
    task.model.eval()
    with torch.no_grad():
        figures = task.validate(7)
        nll = tokens = 0
        for segment in corpus.dev.segments:
            (batch,) = load([[segment]], task.vocabulary, None, 0)
            number = batch.outputs.numel()
            nll += loss_of(task, batch)["nll"].item() * number
            tokens += number
    assert figures["nll"] == pytest.approx(nll / tokens, rel=1e-5)
    assert figures["perplexity"] == pytest.approx(math.exp(figures["nll"]))
    assert 0 <= figures["bleu"] <= 100
    text = (tmp_path / "translations_dev.txt").read_text(encoding="utf-8")
    assert "after step 7" in text and "tok:13a" in text
    assert text.count("\n  ref ") == text.count("\n  hyp ") == len(corpus.dev.segments)


def test_a_vocabulary_comes_out_the_same_and_says_when_it_cannot():
    texts = ["uno due tre", "quattro cinque sei", "sette, otto; nove!"]
    vocabulary, again = train_vocabulary(texts, 60), train_vocabulary(texts, 60)
    assert vocabulary.model == again.model and len(vocabulary) <= 60
    assert all(vocabulary.decode([BOS, *vocabulary.encode(t), EOS, PAD]) == t for t in texts)
    with pytest.raises(InputError, match="vocabulary_size=5"):
        train_vocabulary(texts, 5)


def test_heads_must_divide_the_width():
    with pytest.raises(InputError, match="n_heads=3 does not divide the encoder's width 16"):
        TranslationModel(Encoder(TINY), SIZE, DecoderSettings(n_heads=3))
