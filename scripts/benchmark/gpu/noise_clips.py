"""Stage 1's task on clips of noise: the project's own but for the reading of files."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy
import torch

from mmpt.pretrain.clips import ClipDataset
from mmpt.pretrain.manifest import Clip, write_manifest
from mmpt.pretrain.settings import PretrainSettings
from mmpt.pretrain.task import AudioVisualTask, Batch, Collate
from mmpt.pretrain.validation import HeldOutClips
from mmpt.training.distributed import World
from mmpt.training.run_folder import RunFolder
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

DEV_CLIPS = 4
SEED = 18


class NoiseTask(AudioVisualTask):
    """Pre-training on clips of noise, each the same whenever it is read."""

    def dataset(self, clips) -> ClipDataset:
        """Return clips that are drawn instead of read."""
        dataset, reader = super().dataset(clips), NoiseReader()
        for name in ("read", "sound"):
            setattr(dataset, name, partial(getattr(reader, name), dataset))
        return dataset

    def validate(self, step: int) -> dict[str, float]:
        """Return figures on held-out clips, without files about them."""
        with patch.object(HeldOutClips, "write", lambda *_: None):
            return super().validate(step)


class NoiseReader:
    """In place of a ClipDataset's methods that read files."""

    def sound(self, dataset: ClipDataset, epoch: int | None, index: int) -> torch.Tensor:
        """Return a clip's waveform (samples,)."""
        samples = round(dataset.clips[index].duration_s * SAMPLE_RATE)
        generator = numpy.random.default_rng([SEED, index])
        return torch.from_numpy(0.1 * generator.standard_normal(samples, dtype=numpy.float32))

    def read(
        self, dataset: ClipDataset, clip: Clip, index: int, position: float
    ) -> tuple[torch.Tensor, list[numpy.ndarray]]:
        """Return a clip's waveform and pictures (H, W, 3)."""
        size = dataset.sampling.size
        shape = (dataset.sampling.frames, size, size, 3)
        pictures = numpy.random.default_rng([SEED, index, 1]).integers(0, 256, shape, dtype=numpy.uint8)
        return self.sound(dataset, None, index), list(pictures)


def noise_task(
    settings: PretrainSettings, folder: Path, clips: int, lengths_s: tuple[float, float], small: bool
) -> NoiseTask:
    """Return a task of so many training clips of lengths between the two; in small, of a tenth of that."""
    lengths = numpy.random.default_rng(SEED).uniform(*lengths_s, clips + DEV_CLIPS)
    if small:
        lengths /= 10
    listed = [
        Clip(f"clip{i}", folder / "none", folder / "none", 0.0, length, "train" if i < clips else "dev", "noise", "all")
        for i, length in enumerate(lengths.tolist())
    ]
    manifest = folder / "manifest.tsv"
    write_manifest(manifest, listed)
    return NoiseTask(settings, manifest, RunFolder(folder / "run"), World())


def clip_batches(task: NoiseTask, size: int, number: int) -> list[Batch]:
    """Return so many different batches of the first clips, in pinned memory if a GPU is available."""
    cores = torch.get_num_threads()
    torch.set_num_threads(1)  # of each thread here
    with ThreadPoolExecutor(cores) as threads:
        items = list(threads.map(task.train.__getitem__, [(0, i) for i in range(size * number)]))
    torch.set_num_threads(cores)
    collate = Collate(task.settings)
    batches = [collate(items[n : n + size]) for n in range(0, len(items), size)]
    return [batch.pin_memory() for batch in batches] if task.device.type == "cuda" else batches
