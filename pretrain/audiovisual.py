"""Stage 1: the audio-visual model, its task for the training loop, and its pictures."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from mmpt.pretrain.clips import ClipBatch, ClipDataset, EpochBatches, Sampling, collate
from mmpt.pretrain.contrastive import InfoNCE, retrieval
from mmpt.pretrain.manifest import read_manifest
from mmpt.pretrain.pictures import similarity_picture
from mmpt.pretrain.run_folder import RunFolder, git_revision
from mmpt.pretrain.settings import TrainSettings, require
from mmpt.pretrain.video import VideoEncoder, VideoSettings
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig


@dataclass(frozen=True)
class DataSettings:
    """Which clips, and how they are read."""

    manifest: str | None = None  # None: the sample clips
    batch_size: int = 64
    workers: int = 4  # processes that decode
    memory_gb: float = 0.0  # decoded clips kept in memory, of training and dev each; with workers 0
    max_bad_share: float = 0.05  # of clips that cannot be read, before the run stops

    def __post_init__(self):
        require(self.batch_size >= 2, "data.batch_size must be at least 2: a clip's negatives are the others of its batch")
        require(self.workers >= 0 and self.memory_gb >= 0, "data.workers and data.memory_gb must not be negative")
        require(not (self.workers and self.memory_gb), "data.memory_gb keeps clips in this process: it needs data.workers=0")


@dataclass(frozen=True)
class PretrainSettings(TrainSettings):
    """Everything about a stage-1 run."""

    objective: str = "clr"
    preset: str = "base"  # of the audio encoder
    projection: int = 256
    temperature: float = 0.07  # at the start
    temperature_learned: bool = True
    data: DataSettings = field(default_factory=DataSettings)
    video: VideoSettings = field(default_factory=VideoSettings)

    def __post_init__(self):
        super().__post_init__()
        try:
            EncoderConfig.preset(self.preset)
        except ValueError as error:
            raise InputError(f"preset: {error}") from None
        require(self.projection >= 1 and 0.01 <= self.temperature <= 100, "projection must be at least 1, temperature lie in [0.01, 100]")
        require(self.objective == "clr", f"objective must be clr, got {self.objective}")


class AudioVisualModel(nn.Module):
    """The audio encoder, the video encoder, and what brings both to one space."""

    def __init__(self, settings: PretrainSettings):
        super().__init__()
        self.encoder = Encoder(EncoderConfig.preset(settings.preset))
        self.video_encoder = VideoEncoder(settings.video)
        self.audio_projection = nn.Linear(self.encoder.config.d_model, settings.projection)
        self.video_projection = nn.Linear(settings.video.d_model, settings.projection)
        self.contrast = InfoNCE(settings.temperature, settings.temperature_learned)

    def embed_audio(self, wavs: list[Tensor]) -> Tensor:
        """Unit vectors (B, projection): the mean over time of the encoder's last states, projected."""
        feats, frames = self.encoder.filterbank(wavs)
        x, packing = self.encoder.embed([item[:n] for item, n in zip(feats, frames)])
        x = packing.unpack(self.encoder.encode_packed(x, packing))
        mean = x.sum(1) / torch.tensor(packing.lengths, device=x.device)[:, None]
        return F.normalize(self.audio_projection(mean).float(), dim=-1)

    def embed_video(self, video: Tensor) -> Tensor:
        """Unit vectors (B, projection) of pictures (B, 3, T, H, W)."""
        return F.normalize(self.video_projection(self.video_encoder(video)).float(), dim=-1)


class AudioVisualTask:
    """Contrastive pre-training for the engine's loop (see engine.Task).

    Raises:
        InputError: the manifest does not fit, or holds fewer training clips than a batch or no dev clip.
    """

    unit = "clips"
    best_metric = "loss"

    def __init__(self, settings: PretrainSettings, manifest: Path, folder: RunFolder):
        self.settings = settings
        self.folder = folder
        self.device = settings.torch_device()
        torch.manual_seed(settings.seed)
        self.model = AudioVisualModel(settings).to(self.device)
        self.encoder = self.model.encoder
        clips = read_manifest(manifest)
        self.set = "+".join(sorted({clip.set for clip in clips}))
        split = {name: [clip for clip in clips if clip.split == name] for name in ("train", "dev")}
        if len(split["train"]) < settings.data.batch_size or len(split["dev"]) < 2:
            raise InputError(f"{manifest}: {len(split['train'])} training and {len(split['dev'])} dev clips; "
                             f"data.batch_size={settings.data.batch_size} needs as many in training, and dev at least 2")
        video = settings.video
        sampling = Sampling(video.size, video.frames, video.stride, video.crop_min)
        self.train, self.dev = (ClipDataset(split[name], sampling, settings.seed, settings.data.memory_gb) for name in ("train", "dev"))
        self.skipped: dict[str, str] = {}
        self.revision = git_revision()

    def start(self) -> None:
        """To be called when the run folder is prepared: takes up a resumed run's skipped.jsonl, and fills the clip memory
        where the settings give it room."""
        listed = self.folder.path / "skipped.jsonl"
        lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
        self.skipped = {entry["id"]: entry["reason"] for entry in map(json.loads, lines)}
        if self.settings.data.memory_gb:
            for dataset in (self.train, self.dev):
                dataset.warm(threads=os.cpu_count() or 1)

    def loader(self, dataset: ClipDataset, batches) -> DataLoader:
        # A generator of its own: a loader draws its workers' seed when it starts, and a resumed epoch starts elsewhere.
        return DataLoader(dataset, batch_sampler=batches, collate_fn=collate, num_workers=self.settings.data.workers, generator=torch.Generator())

    def batches(self, epoch: int, skip: int) -> Iterator[ClipBatch]:
        data = self.settings.data
        order = EpochBatches(len(self.train), data.batch_size, self.settings.seed, epoch, skip)
        for batch in self.loader(self.train, order):
            self.note_skipped(batch)
            if len(batch.wavs) < 2:
                raise InputError(f"a batch of {data.batch_size} had fewer than 2 clips that can be read: raise data.batch_size")
            yield batch

    def note_skipped(self, batch: ClipBatch) -> None:
        """Lists unreadable clips in skipped.jsonl, once each.

        Raises:
            InputError: their share of all clips is above data.max_bad_share.
        """
        for clip in batch.skipped:
            if clip.id not in self.skipped:
                self.skipped[clip.id] = clip.reason
                with (self.folder.path / "skipped.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"id": clip.id, "reason": clip.reason}) + "\n")
        share = len(self.skipped) / (len(self.train) + len(self.dev))
        if share > self.settings.data.max_bad_share:
            raise InputError(f"{len(self.skipped)} clips cannot be read, more than data.max_bad_share={self.settings.data.max_bad_share:g} "
                             f"of all; the last: {next(reversed(self.skipped.items()))}; see {self.folder.path / 'skipped.jsonl'}")

    def size(self, batch: ClipBatch) -> int:
        return len(batch.wavs)

    def embed(self, batch: ClipBatch) -> tuple[Tensor, Tensor]:
        audio = self.model.embed_audio([wav.to(self.device, non_blocking=True) for wav in batch.wavs])
        return audio, self.model.embed_video(batch.video.to(self.device, non_blocking=True))

    def loss(self, batch: ClipBatch) -> dict[str, Tensor]:
        loss = self.model.contrast(*self.embed(batch))
        return {"loss": loss, "temperature": self.model.contrast.temperature}

    def validate(self, step: int) -> dict[str, float]:
        """Contrastive loss and retrieval over all dev clips at once, and a picture of the similarities."""
        size = self.settings.data.batch_size
        order = sorted(range(len(self.dev)), key=lambda i: (self.dev.clips[i].group, self.dev.clips[i].id))
        batches = [[(None, i) for i in order[n : n + size]] for n in range(0, len(order), size)]
        audio, video, groups = [], [], []
        for batch in self.loader(self.dev, batches):
            self.note_skipped(batch)
            if batch.wavs:
                sound, picture = self.embed(batch)
                audio.append(sound), video.append(picture)
                groups += batch.groups
        if not audio:
            raise InputError("not one dev clip can be read; see skipped.jsonl")
        audio, video = torch.cat(audio), torch.cat(video)
        similarity = (audio @ video.T).cpu()
        similarity_picture(similarity, groups, self.folder.path / "pictures" / f"retrieval_{step:08d}.png")
        return {"loss": self.model.contrast(audio, video).item(), **retrieval(similarity, groups)}

    def provenance(self, step: int) -> dict:
        return {"stages": [{
            "stage": "pretrain", "objective": "clr", "data": self.set, "clips": sum(clip.id not in self.skipped for clip in self.train.clips), "steps": step,
            "seed": self.settings.seed, "revision": self.revision, "parent_sha256": None,
        }]}
