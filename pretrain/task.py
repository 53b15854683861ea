"""Stage 1's task for the trainer: its batches, its losses, and its figures on held-out clips."""

import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmpt.pretrain import shared_memory
from mmpt.pretrain.batch_statistics import use_whole_clips
from mmpt.pretrain.clip_batch import ClipBatch, ClipItem, SkippedClip, collate, stack_video
from mmpt.pretrain.clips import ClipDataset, decoded_items, read_clips, sampling_of, training_part
from mmpt.pretrain.contrast_in_parts import PartOfContrast, contrast_parts
from mmpt.pretrain.jpeg_pictures import require_decoder
from mmpt.pretrain.manifest import Clip
from mmpt.pretrain.masking import Masks, draw_masks
from mmpt.pretrain.model import build_model
from mmpt.pretrain.settings import PretrainSettings
from mmpt.pretrain.shard_index import ShardClip
from mmpt.pretrain.validation import HeldOutClips
from mmpt.training.device import use_device
from mmpt.training.distributed import Counts, World
from mmpt.training.epochs import EpochBatches
from mmpt.training.read_ahead import read_ahead
from mmpt.training.run_folder import RunFolder
from mmpt.training.settings import require
from mmpt.training.skipped import SkippedItems
from mmpt.training.stop_signal import leave_signals_to_parent
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder
from mmpt.upstream.mmpt_av.packing import Packing
from mmpt.upstream.repository import git_revision

MAX_STAND_INS = 100  # clips that are tried in place of a micro-batch without a readable clip


@dataclass
class Batch:
    """Clips and their masks (None without a masked objective)."""

    clips: ClipBatch
    masks: Masks | None

    def pin_memory(self) -> "Batch":
        """Return the batch in pinned memory; DataLoader calls this."""
        return Batch(self.clips.pin_memory(), self.masks and self.masks.pin_memory())

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device; a pinned batch is copied in the background."""
        return Batch(self.clips.to(device), self.masks and self.masks.to(device))


@dataclass(frozen=True)
class Collate:
    """Make a batch, its masks and all index tensors, in the worker that read its clips."""

    settings: PretrainSettings

    def __call__(self, items: list) -> Batch:
        clips, settings = collate(items), self.settings
        if not clips.ids:
            return Batch(clips, None)
        samples = clips.layout.prepare().samples
        if not settings.is_masked:
            return Batch(clips, None)
        masks = draw_masks(settings.masked, settings.seed, clips.epoch, clips.ids, samples, settings.video.tokens)
        return Batch(clips, masks.prepare())


class AudioVisualTask:
    """Pre-training, as the trainer runs it (see TrainingTask).

    Args:
        settings: of the run.
        manifest: the clips, or a folder of shards.
        folder: of the run.
        world: the processes.

    Raises:
        InputError: the manifest does not fit, holds fewer training clips than a batch, or fewer than two dev clips;
            pictures cannot be decoded as the settings ask.
    """

    unit = "clips"
    best_metric = "loss"
    validates_untrained = True

    def __init__(self, settings: PretrainSettings, manifest: Path, folder: RunFolder, world: World):
        self.settings, self.manifest, self.folder, self.world = settings, manifest, folder, world
        self.device = use_device(settings.device, world.local_rank)
        self.model = build_model(settings).to(self.device)
        self.encoder = self.model.encoder
        if settings.data.decode == "gpu":
            require(
                manifest.is_dir(), f"{manifest}: data.decode=gpu needs shards; scripts/prepare/shards.py makes them"
            )
            require_decoder(self.device)
        clips = read_clips(manifest)
        train = training_part(clips, settings.data.sets, manifest)
        dev = [clip for clip in clips if clip.split == "dev"]
        self.corpus = "+".join(sorted({clip.set for clip in train}))
        self.check_batch_size(manifest, len(train), len(dev))
        self.train, self.dev = self.dataset(train), self.dataset(choose_dev(dev, settings.data.dev_clips))
        self.updates_per_epoch = len(train) // settings.data.batch_size
        self.data_checksum = zlib.crc32("\n".join(clip.id for clip in train).encode())
        self.skipped = SkippedItems(folder, len(train) + len(dev), settings.data.max_bad_share, "clips")
        self.epoch = 0
        self.revision = git_revision()

    def check_batch_size(self, manifest: Path, train: int, dev: int) -> None:
        """Raise InputError if there are too few clips, or if processes cannot share a batch."""
        size, accumulate = self.settings.data.batch_size, self.settings.optim.accumulate
        require(
            train >= size and dev >= 2,
            f"{manifest}: {train} training and {dev} dev clips; "
            f"data.batch_size={size} needs as many in training, and dev at least 2",
        )
        require(
            size % (self.world.size * accumulate) == 0,
            f"data.batch_size={size} cannot be divided among {self.world.size} processes and {accumulate} parts each",
        )

    def dataset(self, clips: Sequence[Clip | ShardClip]) -> ClipDataset:
        """Return clips as the settings have them read."""
        return ClipDataset(clips, sampling_of(self.settings), self.settings.seed, self.settings.data.memory_gb)

    def start(self) -> None:
        """Load a resumed run's skipped.jsonl, and the clips that are kept in memory; call this on a prepared folder."""
        self.skipped.load()
        if self.world.is_main:
            size = self.settings.data.batch_size
            print(
                f"{len(self.train):,} clips of {self.corpus}: {self.updates_per_epoch:,} updates of {size} an epoch, "
                f"which leaves out {self.left_over} clips, others each time"
            )
        if self.world.local_rank == 0:
            self.check_shared_memory()
        if self.settings.data.memory_gb:
            for dataset in (self.train, self.dev):
                dataset.fill_memory(max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))

    def check_shared_memory(self) -> None:
        """Warn if this machine has too little shared memory for the batches of its workers."""
        here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        if line := shared_memory.warning(self.settings, self.world.size, here, self.train.clips):
            print(line, file=sys.stderr)

    @property
    def left_over(self) -> int:
        """Clips that an epoch leaves out, fewer than a batch."""
        return len(self.train) % self.settings.data.batch_size

    def loader(self, dataset: ClipDataset, batches: Iterable) -> Iterable[Batch]:
        """Return batches that are made ahead, by worker processes or else by a thread."""
        loader = DataLoader(
            dataset,
            batch_sampler=batches,
            collate_fn=Collate(self.settings),
            num_workers=self.settings.data.workers,
            pin_memory=self.device.type == "cuda",
            # Its own generator: a loader draws a seed when it starts, and a resumed run starts it at another point.
            generator=torch.Generator(),
            worker_init_fn=leave_signals_to_parent,
        )
        return map(self.decoded, loader if self.settings.data.workers else read_ahead(loader))

    def decoded(self, batch: Batch) -> Batch:
        """Return a batch with its pictures decoded on the GPU, if workers did not decode them.

        Clips that cannot be decoded are skipped like those that workers cannot read.
        """
        clips = batch.clips
        if clips.jpegs is None:
            return batch
        items = decoded_items(clips, self.device, self.train.sampling)
        if not all(isinstance(item, ClipItem) for item in items):
            return Collate(self.settings)([*items, *clips.skipped])
        return replace(batch, clips=replace(clips, video=stack_video(items), jpegs=None))

    def batches(self, epoch: int, skip: int) -> Iterator[Batch]:
        data, accumulate = self.settings.data, self.settings.optim.accumulate
        self.epoch = epoch
        order = EpochBatches(len(self.train), data.batch_size, self.settings.seed, epoch, skip, self.world, accumulate)
        for batch in self.loader(self.train, order):
            self.record_skipped(batch)
            yield batch if batch.clips.ids else self.stand_in(epoch, batch.clips.skipped)

    def record_skipped(self, batch: Batch) -> None:
        """Record the clips of a batch that could not be read."""
        self.skipped.record([(clip.id, clip.reason) for clip in batch.clips.skipped])

    def stand_in(self, epoch: int, skipped: list[SkippedClip]) -> Batch:
        """Return the next readable clip as a micro-batch, in place of one that has none.

        All ranks must continue together, and one bad clip must not end the run, however small the micro-batches are.
        """
        start = zlib.crc32(skipped[0].id.encode())
        for n in range(MAX_STAND_INS):
            item = self.train[epoch, (start + n) % len(self.train)]
            batch = self.decoded(Collate(self.settings)([item]))
            if batch.clips.ids:
                return batch
        raise InputError(
            f"{self.manifest}: {MAX_STAND_INS} clips in a row cannot be read; the last reason: {skipped[-1].reason}"
        )

    def counts(self, batch: Batch) -> dict[str, int]:
        masks = batch.masks
        return {
            "clips": len(batch.clips.ids),
            "audio_frames": len(masks.audio_wanted) if masks else 0,
            "video_tubelets": masks.video_wanted if masks else 0,
        }

    def freeze(self, step: int) -> bool:
        return False  # all weights are trained from the first update

    def loss(
        self, model: nn.Module, batch: Batch, counts: Counts, ahead: PartOfContrast | None = None
    ) -> dict[str, Tensor]:
        return model(*self.inputs(batch), counts, ahead)

    def look_ahead(self, parts: Iterable[Batch], counts: Counts) -> list[PartOfContrast] | None:
        if "clr" not in self.settings.losses:
            return None
        model = self.model  # not DDP around it, which would wait for gradients
        return contrast_parts(parts, lambda part: model.compared(*self.inputs(part)), model.contrast, counts)

    def inputs(self, batch: Batch) -> tuple[Tensor, Packing, Tensor, Masks | None]:
        """Return features, their packing, pictures and masks of a batch, as the model takes them."""
        clips = batch.clips
        feats = self.encoder.filterbank.packed(clips.joined, clips.layout)
        return feats, clips.layout.frames, clips.video, batch.masks

    def gauges(self) -> dict[str, float]:
        gauges = {"left_out_clips": self.epoch * self.left_over}
        return gauges | ({"temperature": self.model.contrast.temperature.item()} if "clr" in self.model.losses else {})

    def compile(self) -> None:
        self.model.compile_blocks()

    def validate(self, step: int) -> dict[str, float]:
        """Return reconstruction errors, contrastive loss and retrieval figures; write them (see HeldOutClips)."""
        size = max(2, self.settings.data.batch_size // (self.world.size * self.settings.optim.accumulate))
        batches = [[(None, i) for i in range(n, min(n + size, len(self.dev)))] for n in range(0, len(self.dev), size)]
        held_out = HeldOutClips(self.model, self.dev.clips)
        for batch in self.loader(self.dev, batches[self.world.rank :: self.world.size]):
            self.record_skipped(batch)
            if batch.clips.ids:
                batch = batch.to(self.device)
                held_out.add(batch.clips, batch.masks)
        self.skipped.add([entry for entries in self.world.gather(self.skipped.drain()) for entry in entries])
        held_out.merge(self.world.gather(held_out.state()))
        if not held_out.clips:
            raise InputError("not one dev clip can be read; see skipped.jsonl")
        if self.world.is_main:
            held_out.write(self.folder.path, step)
        return held_out.figures()

    def provenance(self, step: int) -> dict:
        return {
            "stages": [
                {
                    "stage": "pretrain",
                    "objective": self.settings.objective,
                    "data": self.corpus,
                    "clips": sum(clip.id not in self.skipped for clip in self.train.clips),
                    "steps": step,
                    "seed": self.settings.seed,
                    "revision": self.revision,
                    "parent_sha256": None,
                }
            ]
        }

    def finish_encoder(self, encoder: Encoder) -> dict[str, str]:
        return use_whole_clips(encoder, self.train, self.device) if self.settings.is_masked else {}


def choose_dev(clips: Sequence[Clip | ShardClip], most: int) -> list[Clip | ShardClip]:
    """Return at most so many dev clips, always the same ones, sorted by group.

    Groups are taken whole as far as possible: retrieval inside a group needs several of its clips.
    """
    drawn = sorted(clips, key=lambda clip: (zlib.crc32(clip.group.encode()), zlib.crc32(clip.id.encode())))
    return sorted(drawn[:most], key=lambda clip: (clip.group, clip.id))
