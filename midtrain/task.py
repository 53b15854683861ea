"""Stage 2's task for the trainer: its batches, its losses, and its figures on held-out segments."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmpt.midtrain.batches import Batch, BatchDataset, Vocabularies, load_batches, ordered_batches, training_batches
from mmpt.midtrain.ctc import ctc_loss, read_transcripts, spoken, states_needed
from mmpt.midtrain.decode import GREEDY, translate
from mmpt.midtrain.model import Predictions, TranslationModel, smoothed_loss
from mmpt.midtrain.scoring import score_translations
from mmpt.midtrain.segments import Segment, Split
from mmpt.midtrain.settings import MidtrainSettings
from mmpt.midtrain.specaugment import SpecAugment
from mmpt.midtrain.speeds import Speeds
from mmpt.midtrain.validation import COUNTED_IN, HeldOutSegments
from mmpt.training.device import use_device
from mmpt.training.distributed import Counts, World
from mmpt.training.epochs import batches_of_rank
from mmpt.training.run_folder import RunFolder
from mmpt.training.settings import require
from mmpt.training.skipped import SkippedItems
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.mmpt_av import Encoder
from mmpt.upstream.mmpt_av.config import state_count
from mmpt.upstream.progress import Progress
from mmpt.upstream.repository import git_revision


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from, and what it is validated on."""

    name: str  # of the corpus, for logs and provenance
    train: Split
    dev: Split


class TranslationTask:
    """Mid-training, as the trainer runs it (see TrainingTask).

    Args:
        settings: of the run.
        corpus: segments to train on and to validate on.
        vocabularies: of the texts.
        encoder: the encoder to mid-train.
        parent: provenance and hash of the encoder's checkpoint, if it has one.
        folder: of the run.
        world: the processes.

    Raises:
        InputError: an epoch gives fewer batches than the processes need for one update.
    """

    unit = "frames"
    best_metric = "loss"
    validates_untrained = False  # its translations, which mean nothing, would be of full length

    def __init__(
        self,
        settings: MidtrainSettings,
        corpus: TrainingData,
        vocabularies: Vocabularies,
        encoder: Encoder,
        parent: tuple[dict, str] | None,
        folder: RunFolder,
        world: World,
    ):
        self.settings, self.corpus, self.vocabularies = settings, corpus, vocabularies
        self.parent, self.folder, self.world = parent, folder, world
        self.revision = git_revision()
        self.device = use_device(settings.device, world.local_rank)
        torch.manual_seed(settings.seed)
        transcript_size = len(vocabularies.source) if vocabularies.source else 0
        model = TranslationModel(encoder, len(vocabularies.target), settings.decoder, transcript_size)
        self.model = model.to(self.device)
        self.encoder = model.encoder
        self.frozen = False
        segments = corpus.train.segments
        self.data_checksum = zlib.crc32("\n".join(f"{s.id} {s.samples} {s.target}" for s in segments).encode())
        self.skipped = SkippedItems(folder, len(segments), settings.data.max_bad_share, "segments")
        parts = world.size * settings.optim.accumulate
        self.part_frames = settings.data.batch_frames // parts
        batches = len(training_batches(segments, max(1, self.part_frames), settings.seed, 0))
        require(
            self.part_frames >= 1 and batches >= parts,
            f"data.batch_frames={settings.data.batch_frames}: {len(segments)} training segments give "
            f"{batches} batches for {world.size} processes of optim.accumulate={settings.optim.accumulate} parts "
            "each; lower it",
        )
        self.updates_per_epoch = batches // parts

    def start(self) -> None:
        """Load a resumed run's skipped.jsonl, and print the size of an epoch; call this on a prepared folder."""
        self.skipped.load()
        if not self.world.is_main:
            return
        segments = self.corpus.train.segments
        updates = sum(s.frames for s in segments) / self.settings.data.batch_frames
        print(
            f"{len(segments):,} training segments: an epoch has about {updates:,.0f} updates of "
            f"{self.settings.data.batch_frames:,} frames"
        )
        if source := self.vocabularies.source:
            long = sum(states_needed(source.encode(spoken(s.source))) > state_count(s.samples) for s in segments)
            print(
                f"CTC: {len(source):,} sub-words; {long} transcripts need more states than their sound has, "
                "and are left out of its loss"
            )

    def batches(self, epoch: int, skip: int) -> Iterator[Batch]:
        accumulate = self.settings.optim.accumulate
        order = training_batches(self.corpus.train.segments, self.part_frames, self.settings.seed, epoch)
        own = batches_of_rank(order, self.world, accumulate)
        speeds = Speeds(self.settings.speeds, self.settings.seed, epoch) if self.settings.speeds else None
        for batch in self.load(own, self.specaugment(epoch), skip * accumulate, speeds):
            self.skipped.record(batch.unreadable)
            if not batch.segments:
                raise InputError(f"several batches in a row cannot be read; the last reason: {batch.unreadable[-1][1]}")
            yield batch

    def specaugment(self, epoch: int) -> SpecAugment:
        """Return what draws the parts of the features that are hidden in an epoch."""
        return SpecAugment(self.settings.specaugment, self.encoder.config.n_mels, self.settings.seed, epoch)

    def load(
        self,
        batches: list[list[Segment]],
        specaugment: SpecAugment | None = None,
        skip: int = 0,
        speeds: Speeds | None = None,
    ) -> Iterator[Batch]:
        """Return batches that worker processes read ahead."""
        dataset = BatchDataset(batches, self.vocabularies, specaugment, speeds)
        return load_batches(dataset, self.settings.data.workers, skip, pin=self.device.type == "cuda")

    def counts(self, batch: Batch) -> dict[str, int]:
        return {
            "frames": batch.frames,
            "padded_frames": batch.padded_frames,
            "tokens": batch.texts.total,
            "padded_tokens": batch.inputs.numel(),
            "transcript_tokens": len(batch.transcripts),
        }

    def gauges(self) -> dict[str, float]:
        return {}

    def freeze(self, step: int) -> bool:
        frozen = step < self.settings.freeze_encoder_steps
        changes, self.frozen = frozen != self.frozen, frozen
        if changes:
            self.encoder.requires_grad_(not frozen)
        if frozen:
            self.encoder.eval()  # keeps its batch statistics, too
        return changes

    def compile(self) -> None:
        self.encoder.compile_blocks()
        self.model.decoder.compile_layers()

    def features(self, batch: Batch) -> Tensor:
        """Return normalised features, packed (total frames, n_mels); in training, SpecAugment hides parts of them."""
        feats = self.encoder.filterbank.packed(batch.joined, batch.layout)
        if batch.hidden is None or not self.model.training:
            return feats
        return batch.hidden.hide(feats, batch.layout.frames)

    def losses(self, model: nn.Module, batch: Batch, feats: Tensor) -> tuple[dict[str, Tensor], Predictions]:
        """Return the batch's losses by name, and the predictions.

        `translation` (label-smoothed) and `nll` (negative log-likelihood) are means over the tokens of the texts, `ctc`
        over the sub-words of the transcripts.
        """
        predictions = model(feats, batch.layout.frames, batch.inputs, batch.texts)
        loss, nll = smoothed_loss(predictions.logits, batch.outputs, self.settings.label_smoothing)
        losses = {"translation": loss, "nll": nll.detach()}
        if predictions.ctc is not None:
            total = ctc_loss(predictions.ctc, predictions.packing, batch.transcripts, batch.transcript_lengths)
            losses["ctc"] = total / max(1, len(batch.transcripts))
        return losses, predictions

    def look_ahead(self, parts: Iterable[Batch], counts: Counts) -> None:
        return None  # a text's loss depends on nothing else in the update

    def loss(self, model: nn.Module, batch: Batch, counts: Counts, ahead: None = None) -> dict[str, Tensor]:
        own = self.counts(batch)
        losses, _ = self.losses(model, batch, self.features(batch))
        losses = {
            name: value * own[COUNTED_IN[name]] * counts.scale(COUNTED_IN[name]) for name, value in losses.items()
        }
        total = losses["translation"] + self.settings.ctc.weight * losses.get("ctc", 0.0)
        padding = {
            name: torch.full(
                (), 100 * (own[f"padded_{unit}"] - own[unit]) * counts.scale(f"padded_{unit}"), device=total.device
            )
            for name, unit in (("padding_percent", "frames"), ("text_padding_percent", "tokens"))
        }
        return {"loss": total, **losses, **padding}

    def validate(self, step: int) -> dict[str, float]:
        """Return losses per token, BLEU and chrF of greedy translations, and with CTC the word error rate (%).

        The translations are written to translations_dev.txt.
        """
        split, held_out = self.corpus.dev, HeldOutSegments()
        order = ordered_batches(split.segments, self.part_frames)[self.world.rank :: self.world.size]
        for batch in Progress(
            self.load(order),
            total=len(order),
            unit="batch",
            desc=split.name,
            leave=False,
            dynamic_ncols=True,
            disable=not self.world.is_main,
        ):
            if batch.unreadable:  # dev is scored whole, or scores would not be comparable
                raise InputError(batch.unreadable[0][1])
            self.add_held_out(held_out, batch.to(self.device))
        held_out.merge(self.world.gather(held_out))
        hypotheses = [held_out.translations[s.id] for s in split.segments]
        scores = score_translations(hypotheses, [s.target for s in split.segments], self.settings.language)
        if self.world.is_main:
            title = f"{self.corpus.name}, {split.name}, greedy decoding after step {step}"
            write_text(
                self.folder.path / f"translations_{split.name}.txt", scores.text(title, split.segments, hypotheses)
            )
        return {
            **held_out.losses(self.settings.ctc.weight),
            "bleu": scores.bleu,
            "chrf": scores.chrf,
            **held_out.word_errors(split.segments),
        }

    def add_held_out(self, held_out: HeldOutSegments, batch: Batch) -> None:
        """Add the losses, translations and transcripts of one batch."""
        feats, (target, source) = self.features(batch), (self.vocabularies.target, self.vocabularies.source)
        losses, predictions = self.losses(self.model, batch, feats)
        transcripts = []
        if source and predictions.ctc is not None:
            transcripts = [source.decode(tokens) for tokens in read_transcripts(predictions.ctc, predictions.packing)]
        translations = [
            target.decode(found.tokens) for found in translate(self.model, batch.layout.frames.split(feats), GREEDY)
        ]
        held_out.add(batch, self.counts(batch), losses, translations, transcripts)

    def finish_encoder(self, encoder: Encoder) -> dict[str, str]:
        return {}  # its batch statistics are of whole segments already

    def provenance(self, step: int) -> dict:
        stages, sha256 = (list(self.parent[0].get("stages", [])), self.parent[1]) if self.parent else ([], None)
        return {
            "stages": [
                *stages,
                {
                    "stage": "midtrain",
                    "objective": "translation" + ("+ctc" if self.settings.ctc.weight else ""),
                    "data": self.corpus.name,
                    "language": f"en-{self.settings.language}",
                    "segments": sum(s.id not in self.skipped for s in self.corpus.train.segments),
                    "steps": step,
                    "seed": self.settings.seed,
                    "revision": self.revision,
                    "parent_sha256": sha256,
                },
            ]
        }
