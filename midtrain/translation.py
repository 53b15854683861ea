"""Stage 2's task for the training loop: speech in, text of another language out."""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from sacrebleu.metrics import BLEU, CHRF
from torch import Tensor, nn
from tqdm import tqdm

from mmpt.midtrain.batches import Batch, load, ordered_batches, training_batches
from mmpt.midtrain.decode import greedy
from mmpt.midtrain.decoder import DecoderSettings
from mmpt.midtrain.model import TranslationModel, smoothed_loss
from mmpt.midtrain.must_c import Split
from mmpt.midtrain.specaugment import SpecAugmentSettings, augment, item_generator
from mmpt.midtrain.vocabulary import PAD, Vocabulary
from mmpt.pretrain.distributed import Counts, World
from mmpt.pretrain.epochs import ranks_share
from mmpt.pretrain.run_folder import RunFolder, git_revision, write_text
from mmpt.pretrain.settings import TrainSettings, require
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

BLEU_TOKENS = {"zh": "zh", "ja": "char"}  # scripts without spaces; 13a, the default, is for the others


@dataclass(frozen=True)
class DataSettings:
    """Which corpus, and how it is read."""

    root: str | None = None  # the folder that holds en-de, en-it and so on; None: the built samples
    batch_frames: int = 40_000  # frames of speech (10 ms) in a batch, all utterances together
    max_frames: int = 3000  # longer training segments are dropped
    vocabulary_size: int = 8000  # at most
    workers: int = 4  # processes that read

    def __post_init__(self):
        require(min(self.batch_frames, self.max_frames, self.vocabulary_size) >= 1,
                "data.batch_frames, data.max_frames and data.vocabulary_size must be at least 1")
        require(self.workers >= 0, "data.workers must not be negative")


@dataclass(frozen=True)
class MidtrainSettings(TrainSettings):
    """Everything about a stage-2 run: a run folder's config.yaml is enough to repeat it."""

    target_lang: str | None = None
    init: str = "none"  # a stage-1 run folder or encoder.pt; none: a fresh encoder
    preset: str = "base"  # sizes of a fresh encoder
    label_smoothing: float = 0.1
    export: str = "average"
    keep_checkpoints: int = 10  # and the encoder is the mean of these
    data: DataSettings = field(default_factory=DataSettings)
    decoder: DecoderSettings = field(default_factory=DecoderSettings)
    specaugment: SpecAugmentSettings = field(default_factory=SpecAugmentSettings)

    def __post_init__(self):
        super().__post_init__()
        require(0 <= self.label_smoothing < 1, f"label_smoothing must lie in [0, 1), got {self.label_smoothing:g}")
        try:
            EncoderConfig.preset(self.preset)
        except ValueError as error:
            raise InputError(f"preset: {error}") from None


@dataclass(frozen=True)
class Corpus:
    """What a run learns from. `name` says which, in logs and provenance."""

    name: str
    train: Split
    dev: Split
    test: Split | None


class TranslationTask:
    """Mid-training for the engine's loop (see engine.Task).

    Args:
        encoder: where the run starts from; parent: the encoder checkpoint's provenance and hash, where there is one.
    """

    unit = "frames"
    best_metric = "loss"

    def __init__(self, settings: MidtrainSettings, corpus: Corpus, vocabulary: Vocabulary, encoder: Encoder,
                 parent: tuple[dict, str] | None, folder: RunFolder):
        self.settings = settings
        self.corpus = corpus
        self.vocabulary = vocabulary
        self.parent = parent
        self.folder = folder
        self.revision = git_revision()
        self.device = settings.torch_device()
        torch.manual_seed(settings.seed)
        self.model = TranslationModel(encoder, len(vocabulary), settings.decoder).to(self.device)
        self.encoder = self.model.encoder
        self.data_mark = zlib.crc32("\n".join(segment.id for segment in corpus.train.segments).encode())
        self.bleu, self.chrf = BLEU(tokenize=BLEU_TOKENS.get(settings.target_lang, "13a")), CHRF()

    def batches(self, epoch: int, skip: int) -> Iterator[Batch]:
        data = self.settings.data
        order = training_batches(self.corpus.train.segments, data.batch_frames, self.settings.seed, epoch)
        accumulate = self.settings.optim.accumulate
        return load(ranks_share(order, World(), accumulate)[skip * accumulate :], self.vocabulary, epoch, data.workers)

    def counts(self, batch: Batch) -> dict[str, int]:
        return {"frames": batch.frames, "tokens": int((batch.outputs != PAD).sum()), "cells": batch.outputs.numel()}

    def gauges(self) -> dict[str, float]:
        return {}

    def take_unreadable(self) -> list:
        return []  # a segment that cannot be read stops the run

    def note_unreadable(self, entries: list) -> None:
        pass

    def compile(self) -> None:
        self.encoder.compile_feed_forwards()

    def features(self, batch: Batch) -> list[Tensor]:
        """Normalised features, list of (frames, n_mels); with SpecAugment in training."""
        feats, frames = self.encoder.filterbank([wav.to(self.device, non_blocking=True) for wav in batch.wavs])
        feats = [item[:n] for item, n in zip(feats, frames)]
        if not self.model.training:
            return feats
        seed, epoch = self.settings.seed, batch.epoch
        return [augment(item, self.settings.specaugment, item_generator(seed, epoch, s.id)) for item, s in zip(feats, batch.segments)]

    def losses(self, model: nn.Module, batch: Batch, feats: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Label-smoothed loss and negative log-likelihood, means over the batch's tokens."""
        logits, outputs = model(feats, batch.inputs.to(self.device), batch.outputs.to(self.device))
        return smoothed_loss(logits, outputs, self.settings.label_smoothing)

    def loss(self, model: nn.Module, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        loss, nll = self.losses(model, batch, self.features(batch))
        own = self.counts(batch)
        part = own["tokens"] * counts.share("tokens")
        padding = torch.tensor(100 * (own["cells"] - own["tokens"]) * counts.share("cells"))
        return {"loss": loss * part, "nll": nll.detach() * part, "text_padding_percent": padding}

    def validate(self, step: int) -> dict[str, float]:
        return self.evaluate(self.corpus.dev, step)

    def evaluate(self, split: Split, step: int) -> dict[str, float]:
        """Losses a token, BLEU and chrF of greedy translations, which are written to translations_SPLIT.txt."""
        total = torch.zeros(2, dtype=torch.float64)
        tokens = 0
        translations: dict[str, str] = {}
        data = self.settings.data
        order = ordered_batches(split.segments, data.batch_frames)
        for batch in tqdm(load(order, self.vocabulary, None, data.workers), total=len(order), unit="batch", desc=split.name,
                          leave=False, dynamic_ncols=True):
            feats = self.features(batch)
            number = int((batch.outputs != PAD).sum())
            total += torch.stack(self.losses(self.model, batch, feats)).cpu().double() * number
            tokens += number
            texts = (self.vocabulary.decode(text) for text in greedy(self.model, feats))
            translations.update(zip((s.id for s in batch.segments), texts))
        loss, nll = (total / tokens).tolist()
        hypotheses, references = [translations[s.id] for s in split.segments], [[s.target for s in split.segments]]
        bleu, chrf = self.bleu.corpus_score(hypotheses, references), self.chrf.corpus_score(hypotheses, references)
        self.write_translations(split, step, hypotheses)
        return {"loss": loss, "nll": nll, "perplexity": math.exp(min(nll, 50)), "bleu": bleu.score, "chrf": chrf.score}

    def write_translations(self, split: Split, step: int, hypotheses: list[str]) -> None:
        """Transcript, reference and hypothesis of each segment, under the scores and their signatures."""
        references = [[s.target for s in split.segments]]
        scores = [f"{metric.corpus_score(hypotheses, references)}  {metric.get_signature()}" for metric in (self.bleu, self.chrf)]
        blocks = [f"{s.id}\n  en  {s.source}\n  ref {s.target}\n  hyp {hypothesis}" for s, hypothesis in zip(split.segments, hypotheses)]
        head = f"{self.corpus.name}, {split.name}, greedy decoding after step {step}"
        write_text(self.folder.path / f"translations_{split.name}.txt", "\n\n".join(["\n".join([head, *scores]), *blocks]) + "\n")

    def provenance(self, step: int) -> dict:
        stages, sha256 = (list(self.parent[0].get("stages", [])), self.parent[1]) if self.parent else ([], None)
        return {"stages": [*stages, {
            "stage": "midtrain", "objective": "translation", "data": self.corpus.name, "language": f"en-{self.settings.target_lang}",
            "segments": len(self.corpus.train.segments), "steps": step, "seed": self.settings.seed, "revision": self.revision,
            "parent_sha256": sha256,
        }]}
