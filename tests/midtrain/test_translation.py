"""The translation model and its task: causality, padding, losses, batches, validation, and learning."""

import math
from dataclasses import replace

import pytest
import torch

from mmpt.midtrain.batches import BatchDataset, Vocabularies, load_batches, ordered_batches, pad, training_batches
from mmpt.midtrain.corpus import open_corpus
from mmpt.midtrain.decoder import Past
from mmpt.midtrain.model import TranslationModel, smoothed_loss
from mmpt.midtrain.settings import CtcSettings, DataSettings, DecoderSettings, MidtrainSettings, SpecAugmentSettings
from mmpt.midtrain.specaugment import Hidden, SpecAugment
from mmpt.midtrain.task import TrainingData, TranslationTask
from mmpt.midtrain.vocabulary import BOS, EOS, PAD, train_vocabulary
from mmpt.training.distributed import Counts, World
from mmpt.training.run_folder import RunFolder
from mmpt.training.settings import OptimSettings
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.packing import Packing

from helpers import mock_must_c

SIZE = 23
TINY = EncoderConfig(conv_channels=16, d_model=16, n_layers=2, n_heads=2, ffn_dim=32, depthwise_kernel=3)
DECODER = DecoderSettings(n_layers=2, n_heads=2, ffn_dim=32)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = TranslationModel(Encoder(TINY), SIZE, DECODER, transcript_size=9).eval()
    with torch.no_grad():  # far from the initial values, so that a mistake shows
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


def test_a_batch_gives_the_same_logits_as_single_utterances(model):
    feats = features(90, 17, 44)
    texts = [[5, 6, 7], [8, 9, 10, 11, 12, 13], [14]]
    with torch.no_grad():
        together = model(*model.encoder.pack(feats), pad([[BOS, *t] for t in texts]), Packing([4, 7, 2]))
        alone = [
            model(*model.encoder.pack([f]), torch.tensor([[BOS, *t]]), Packing([len(t) + 1]))
            for f, t in zip(feats, texts)
        ]
    assert torch.allclose(together.logits, torch.cat([one.logits for one in alone]), atol=1e-5)
    assert torch.allclose(together.ctc, torch.cat([one.ctc for one in alone]), atol=1e-5)


def test_decoding_token_by_token_gives_the_same_states(model):
    tokens = torch.randint(4, SIZE, (3, 7))
    with torch.no_grad():
        memory, _ = model.encode(features(40, 60, 13))
        whole = model.decoder(tokens, memory)
        past = Past(len(model.decoder.layers))
        steps = torch.cat([model.decoder(tokens[:, i : i + 1], memory, past) for i in range(7)], dim=1)
    assert torch.allclose(whole, steps, atol=1e-5)


def test_label_smoothing_equals_the_sum_written_out():
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


def test_specaugment_keeps_its_limits_and_is_repeatable():
    drawn = SpecAugment(SpecAugmentSettings(freq_width=27, time_width=100, time_share=0.2), 80, seed=0, epoch=1)
    names, frames = [f"ted_1_{n}" for n in range(200)], [50] * 199 + [40]
    hidden, packing = drawn.draw(names, frames), Packing(frames)
    rows = [stretch.sum().item() for stretch in packing.split(hidden.frames)]
    assert max(rows) == 9 and max(rows[-1:]) <= 7 and hidden.bins.sum(1).max() == 26
    for one in (*packing.split(hidden.frames), *hidden.bins):  # one stretch, without gaps
        assert one.diff(prepend=torch.zeros(1, dtype=torch.bool)).sum() <= 2
    alone = drawn.draw(names[-2:], frames[-2:])  # a segment's draw does not depend on its batch
    assert torch.equal(alone.bins, hidden.bins[-2:]) and torch.equal(alone.frames, hidden.frames[-90:])
    other = replace(drawn, epoch=2).draw(names, frames)
    assert not torch.equal(other.bins, hidden.bins) and not torch.equal(other.frames, hidden.frames)
    none = replace(drawn, settings=SpecAugmentSettings(0, 27, 1, 100)).draw(["a"], [1])
    assert not none.bins.any() and not none.frames.any()


def test_hidden_parts_are_zero_and_all_others_stay():
    frames = Packing([3, 2])
    hidden = Hidden(torch.tensor([[True, False], [False, False]]), torch.tensor([False, False, True, True, False]))
    feats = torch.arange(1.0, 11).view(5, 2)
    assert hidden.hide(feats, frames).tolist() == [[0, 2], [0, 4], [0, 0], [0, 0], [9, 10]]
    assert feats.min() == 1


@pytest.fixture
def corpus(tmp_path):
    root = mock_must_c.corpus(tmp_path / "must_c")
    found = open_corpus(root, "it", 3000)
    return TrainingData(found.name, found.read("train"), found.read("dev"))


def test_batches_hold_every_segment_once_within_the_limit(corpus):
    segments = corpus.train.segments
    first, again, other = (training_batches(segments, 200, 0, epoch) for epoch in (0, 0, 1))
    assert first == again != other
    for batches in (first, other, ordered_batches(segments, 200)):
        assert sorted(s.id for batch in batches for s in batch) == sorted(s.id for s in segments)
        assert all(sum(s.frames for s in batch) <= 200 or len(batch) == 1 for batch in batches)
    assert len(training_batches(segments, 1, 0, 0)) == len(segments)


def make_task(corpus, folder, **settings):
    texts = [s.target for s in corpus.train.segments], [s.source for s in corpus.train.segments]
    settings = MidtrainSettings(
        target_lang="it", device="cpu", decoder=DECODER, data=DataSettings(workers=0, batch_frames=400), **settings
    )
    vocabularies = Vocabularies(
        train_vocabulary(texts[0], 40), train_vocabulary(texts[1], 30) if settings.ctc.weight else None
    )
    torch.manual_seed(0)
    return TranslationTask(settings, corpus, vocabularies, Encoder(TINY), None, RunFolder(folder), World())


def loss_of(task, batch):
    """Return the losses of an update of one batch."""
    return task.loss(task.model, batch, Counts([task.counts(batch)]))


@pytest.mark.slow
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


def test_an_epoch_resumes_where_it_stopped(corpus, tmp_path):
    task = make_task(corpus, tmp_path)
    whole = [[s.id for s in batch.segments] for batch in task.batches(3, 0)]
    assert len(whole) > 2 and [[s.id for s in batch.segments] for batch in task.batches(3, 2)] == whole[2:]


@pytest.mark.parametrize("ctc", [0.0, 0.5])
def test_validation_averages_over_tokens_and_writes_translations(corpus, tmp_path, ctc):
    task = make_task(corpus, tmp_path, ctc=CtcSettings(weight=ctc))
    task.model.eval()
    with torch.no_grad():
        figures = task.validate(7)
        sums, tokens, spoken_tokens = {"nll": 0.0, "ctc": 0.0}, 0, 0
        for segment in corpus.dev.segments:
            (batch,) = load_batches(BatchDataset([[segment]], task.vocabularies), workers=0)
            losses = loss_of(task, batch)
            sums["nll"] += losses["nll"].item() * batch.outputs.numel()
            sums["ctc"] += losses["ctc"].item() * len(batch.transcripts) if ctc else 0.0
            tokens, spoken_tokens = tokens + batch.outputs.numel(), spoken_tokens + len(batch.transcripts)
    assert figures["nll"] == pytest.approx(sums["nll"] / tokens, rel=1e-5)
    assert figures["perplexity"] == pytest.approx(math.exp(figures["nll"]))
    if ctc:
        assert figures["ctc"] == pytest.approx(sums["ctc"] / spoken_tokens, rel=1e-5) and figures["transcript_wer"] > 0
        assert figures["loss"] == pytest.approx(figures["translation"] + 0.5 * figures["ctc"], rel=1e-6)
    else:
        assert figures["loss"] == figures["translation"] and "ctc" not in figures and "transcript_wer" not in figures
    assert 0 <= figures["bleu"] <= 100
    text = (tmp_path / "translations_dev.txt").read_text(encoding="utf-8")
    assert "after step 7" in text and "tok:13a" in text
    assert all(segment.target in text for segment in corpus.dev.segments)


def test_losses_are_parts_of_the_mean_over_the_whole_update(corpus, tmp_path):
    """If an update has three times the batch's counts, the batch adds a third of its own mean."""
    task = make_task(corpus, tmp_path, ctc=CtcSettings(weight=2.0))
    task.model.eval()
    batch = next(task.batches(0, 0))
    own = task.counts(batch)
    alone = loss_of(task, batch)
    part = task.loss(task.model, batch, Counts([{name: 3 * number for name, number in own.items()}]))
    assert alone["loss"].item() == pytest.approx((alone["translation"] + 2 * alone["ctc"]).item(), rel=1e-6)
    assert all(part[name].item() == pytest.approx(value.item() / 3, rel=1e-6) for name, value in alone.items())
    padded = len(batch.segments) * max(s.frames for s in batch.segments)
    assert alone["padding_percent"].item() == pytest.approx(100 * (1 - batch.frames / padded))
    real = sum(len(task.vocabularies.target.encode(s.target)) + 1 for s in batch.segments)
    assert own["tokens"] == real
    assert alone["text_padding_percent"].item() == pytest.approx(100 * (1 - real / batch.inputs.numel()))


def test_a_frozen_encoder_does_not_change(corpus, tmp_path):
    task = make_task(corpus, tmp_path, freeze_encoder_steps=2)
    batch, before = next(task.batches(0, 0)), {name: value.clone() for name, value in task.encoder.state_dict().items()}
    changes = []
    for step in range(4):
        task.model.train()
        changes.append(task.freeze(step))
        loss_of(task, batch)["loss"].backward()
        grads = [p.grad is not None for p in task.encoder.parameters()]
        assert all(grads) if step >= 2 else not any(grads)
        assert all(p.grad is not None for p in task.model.decoder.parameters())
        same = all(value.equal(before[name]) for name, value in task.encoder.state_dict().items())
        assert same == (step < 2)  # its batch statistics change once it is unfrozen
    assert changes == [True, False, True, False]


def test_unreadable_segments_are_skipped(corpus, tmp_path):
    task = make_task(corpus, tmp_path)
    order = training_batches(corpus.train.segments, 400, 0, 0)
    bad = order[1]
    gone = tmp_path / "gone.wav"
    corpus.train.segments[:] = [replace(s, audio=gone) if s in bad[1:] else s for s in corpus.train.segments]
    batches = list(task.batches(0, 0))
    assert len(batches) == len(order) and [s.id for s in batches[1].segments] == [bad[0].id]
    assert [name for name, _ in task.skipped.drain()] == [s.id for s in bad[1:]] and len(bad) > 1
    corpus.train.segments[:] = [replace(s, audio=gone) if s in bad else s for s in corpus.train.segments]
    batches = list(task.batches(0, 0))
    # The next batch takes the place of an unreadable one, or other processes would wait for it.
    assert [s.id for s in batches[1].segments] == [s.id for s in order[2]]
    assert [s.id for s in next(task.batches(0, 1)).segments] == [s.id for s in order[2]]
    corpus.train.segments[:] = [replace(s, audio=gone) for s in corpus.train.segments]
    with pytest.raises(InputError, match="several batches in a row cannot be read; the last reason: .*gone.wav"):
        next(task.batches(0, 0))


def test_an_unreadable_dev_segment_is_an_error(corpus, tmp_path):
    task = make_task(corpus, tmp_path)
    corpus.dev.segments[2] = replace(corpus.dev.segments[2], audio=tmp_path / "gone.wav")
    task.model.eval()
    with torch.no_grad(), pytest.raises(InputError, match="gone.wav"):
        task.validate(1)


def test_an_epoch_must_have_a_batch_for_every_part_of_an_update(corpus, tmp_path):
    make_task(corpus, tmp_path, optim=OptimSettings(accumulate=2))
    message = "12 training segments give .* batches for 1 processes of optim.accumulate=40 parts each; lower it"
    with pytest.raises(InputError, match=message):
        make_task(corpus, tmp_path, optim=OptimSettings(accumulate=40))


def test_a_vocabulary_is_repeatable_and_needs_a_minimum_size():
    texts = ["uno due tre", "quattro cinque sei", "sette, otto; nove!"]
    vocabulary, again = train_vocabulary(texts, 60), train_vocabulary(texts, 60)
    assert vocabulary.model == again.model and len(vocabulary) <= 60
    assert all(vocabulary.decode([BOS, *vocabulary.encode(t), EOS, PAD]) == t for t in texts)
    with pytest.raises(InputError, match="vocabulary_size=5"):
        train_vocabulary(texts, 5)


def test_the_number_of_heads_must_divide_the_width():
    with pytest.raises(InputError, match="n_heads=3 does not divide the encoder's width 16"):
        TranslationModel(Encoder(TINY), SIZE, DecoderSettings(n_heads=3))
