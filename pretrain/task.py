"""Stage 1 for the training loop: its settings, its batches, and its figures on held-out clips."""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmpt.pretrain.clips import ClipBatch, ClipDataset, Sampling, Skipped, collate
from mmpt.pretrain.manifest import read_manifest
from mmpt.pretrain.masked import Masks, draw_masks
from mmpt.pretrain.model import build_model
from mmpt.pretrain.settings import PretrainSettings
from mmpt.pretrain.shards import read_index
from mmpt.pretrain.validation import HeldOut
from mmpt.training.device import use_device
from mmpt.training.distributed import Counts, World
from mmpt.training.epochs import EpochBatches
from mmpt.training.run_folder import RunFolder
from mmpt.training.stop_signal import leave_signals_to_parent
from mmpt.training.skipped import SkippedItems
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import git_revision

STAND_INS = 100  # clips that are tried in place of an unreadable part of a batch


@dataclass
class Batch:
    """Clips, and what is masked of them (None without a masked objective)."""

    clips: ClipBatch
    masks: Masks | None

    def pin_memory(self) -> "Batch":
        """Has the DataLoader put it where a GPU can copy it from on its own."""
        return Batch(self.clips.pin_memory(), self.masks and self.masks.pin_memory())

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(self.clips.to(device), self.masks and self.masks.to(device))


@dataclass(frozen=True)
class Collate:
    """Makes a batch in the worker that read its clips, masks included."""

    settings: PretrainSettings

    def __call__(self, items: list) -> Batch:
        clips = collate(items)
        if not self.settings.is_masked or not clips.ids:
            return Batch(clips, None)
        settings = self.settings
        return Batch(
            clips,
            draw_masks(settings.masked, settings.seed, clips.epoch, clips.ids, clips.lengths, settings.video.tokens),
        )


class AudioVisualTask:
    """Pre-training for the engine's loop (see training.task.TrainingTask).

    Raises:
        InputError: the manifest does not fit, or holds fewer training clips than a batch or no dev clip.
    """

    unit = "clips"
    best_metric = "loss"

    def __init__(self, settings: PretrainSettings, manifest: Path, folder: RunFolder, world: World):
        self.settings, self.folder, self.world = settings, folder, world
        self.device = use_device(settings.device, world.local_rank)
        self.model = build_model(settings).to(self.device)
        self.encoder = self.model.encoder
        clips = read_index(manifest) if manifest.is_dir() else read_manifest(manifest)
        self.set = "+".join(sorted({clip.set for clip in clips}))
        train, dev = ([clip for clip in clips if clip.split == name] for name in ("train", "dev"))
        size = settings.data.batch_size
        if len(train) < size or len(dev) < 2:
            raise InputError(
                f"{manifest}: {len(train)} training and {len(dev)} dev clips; "
                f"data.batch_size={size} needs as many in training, and dev at least 2"
            )
        parts = world.size * settings.optim.accumulate
        if size % parts or size // parts < 1:
            raise InputError(
                f"data.batch_size={size} cannot be divided among {world.size} processes and {settings.optim.accumulate} parts each"
            )
        # Whole groups as far as may be: retrieval inside a speaker or label needs several clips of one.
        dev = sorted(dev, key=lambda clip: (zlib.crc32(clip.group.encode()), zlib.crc32(clip.id.encode())))[
            : settings.data.dev_clips
        ]
        video = settings.video
        sampling = Sampling(video.size, video.frames, video.stride, video.crop_min, settings.data.sound)
        self.train = ClipDataset(train, sampling, settings.seed, settings.data.memory_gb)
        self.dev = ClipDataset(
            sorted(dev, key=lambda clip: (clip.group, clip.id)), sampling, settings.seed, settings.data.memory_gb
        )
        self.skipped = SkippedItems(folder, len(train) + len(dev), settings.data.max_bad_share, "clips")
        self.epoch = 0
        self.revision = git_revision()

    def start(self) -> None:
        """To be called when the run folder is prepared: takes up a resumed run's skipped.jsonl, and fills the clip memory
        where the settings give it room.
        """
        self.skipped.load()
        if self.world.is_main:
            size = self.settings.data.batch_size
            print(
                f"{len(self.train):,} clips of {self.set}: {len(self.train) // size:,} updates of {size} an epoch; "
                f"{self.left_over} clips, others each time, are left out of it"
            )
        if self.settings.data.memory_gb:
            for dataset in (self.train, self.dev):
                dataset.warm(threads=max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))

    @property
    def data_checksum(self) -> int:
        """Hangs on the training clips and their order, which a resumed run must find again."""
        return zlib.crc32("\n".join(clip.id for clip in self.train.clips).encode())

    @property
    def left_over(self) -> int:
        """Clips that an epoch leaves out, fewer than a batch."""
        return len(self.train) % self.settings.data.batch_size

    def loader(self, dataset: ClipDataset, batches) -> DataLoader:
        """Batches read ahead by worker processes."""
        # A generator of its own: a loader draws its workers' seed when it starts, and a resumed epoch starts elsewhere.
        return DataLoader(
            dataset,
            batch_sampler=batches,
            collate_fn=Collate(self.settings),
            num_workers=self.settings.data.workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),
            worker_init_fn=leave_signals_to_parent,
        )

    def batches(self, epoch: int, skip: int) -> Iterator[Batch]:
        data = self.settings.data
        self.epoch = epoch
        order = EpochBatches(
            len(self.train),
            data.batch_size,
            self.settings.seed,
            epoch,
            skip,
            self.world,
            self.settings.optim.accumulate,
        )
        for batch in self.loader(self.train, order):
            self.skipped.record([(clip.id, clip.reason) for clip in batch.clips.skipped])
            yield batch if batch.clips.ids else self.stand_in(epoch, batch.clips.skipped)

    def stand_in(self, epoch: int, skipped: list[Skipped]) -> Batch:
        """A part of a batch in place of one that has no readable clip: the next one that can be read, since all ranks must go on
        together and one bad clip must not be fatal, however small the parts.
        """
        start = zlib.crc32(skipped[0].id.encode())
        items = (self.train[epoch, (start + n) % len(self.train)] for n in range(STAND_INS))
        found = next((item for item in items if not isinstance(item, Skipped)), None)
        if found is None:
            raise InputError(f"{STAND_INS} clips in a row cannot be read; the last reason: {skipped[-1].reason}")
        return Collate(self.settings)([found])

    def counts(self, batch: Batch) -> dict[str, int]:
        masks = batch.masks
        return {
            "clips": len(batch.clips.ids),
            "audio_frames": len(masks.audio_wanted) if masks else 0,
            "video_tubelets": masks.video_wanted if masks else 0,
        }

    def freeze(self, step: int) -> bool:
        return False  # all weights are trained from the first update

    def features(self, clips: ClipBatch) -> list[Tensor]:
        """Normalised features, list of (4 * T, n_mels), of waveforms on the device."""
        return self.encoder.filterbank.separate(clips.wavs)

    def loss(self, model: nn.Module, batch: Batch, counts: Counts) -> dict[str, Tensor]:
        batch = batch.to(self.device)
        return model(self.features(batch.clips), batch.clips.video, batch.masks, counts)

    def gauges(self) -> dict[str, float]:
        gauges = {"left_out_clips": self.epoch * self.left_over}
        return gauges | ({"temperature": self.model.contrast.temperature.item()} if "clr" in self.model.losses else {})

    def compile(self) -> None:
        self.model.compile_blocks()

    def validate(self, step: int) -> dict[str, float]:
        """Errors of reconstruction, contrastive loss and retrieval, with pictures (see HeldOut)."""
        size = max(2, self.settings.data.batch_size // (self.world.size * self.settings.optim.accumulate))
        batches = [[(None, i) for i in range(n, min(n + size, len(self.dev)))] for n in range(0, len(self.dev), size)]
        held_out = HeldOut(self.model)
        for batch in self.loader(self.dev, batches[self.world.rank :: self.world.size]):
            self.skipped.record([(clip.id, clip.reason) for clip in batch.clips.skipped])
            if batch.clips.ids:
                batch = batch.to(self.device)
                held_out.add(self.features(batch.clips), batch.clips, batch.masks)
        self.skipped.add([entry for entries in self.world.gather(self.skipped.drain()) for entry in entries])
        held_out.bring_together(self.world.gather(held_out.state()))
        if not held_out.clips:
            raise InputError("not one dev clip can be read; see skipped.jsonl")
        if self.world.is_main:
            held_out.draw(self.folder.path / "pictures", step)
        return held_out.figures()

    def provenance(self, step: int) -> dict:
        return {
            "stages": [
                {
                    "stage": "pretrain",
                    "objective": self.settings.objective,
                    "data": self.set,
                    "clips": sum(clip.id not in self.skipped for clip in self.train.clips),
                    "steps": step,
                    "seed": self.settings.seed,
                    "revision": self.revision,
                    "parent_sha256": None,
                }
            ]
        }
