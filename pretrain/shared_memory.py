"""How much shared memory (/dev/shm) the workers of stage 1 need for the batches that they make ahead. Imports no torch.

With too little of it, a worker is killed in the middle of a run (bus error). Containers often have 64 MB.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mmpt.pretrain.manifest import USED_S, Clip, used_s
from mmpt.pretrain.settings import PretrainSettings
from mmpt.pretrain.shard_index import ShardClip
from mmpt.training.settings import load_settings
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

FOLDER = Path("/dev/shm")
AHEAD = 2  # batches that each worker makes ahead: the default of DataLoader's prefetch_factor
USUAL_RATE = 25  # pictures a second of most corpora
INDEX_BYTES_PER_S = 2600  # of the index tensors of a second of sound (see Layout.prepare), if lengths differ


def clip_bytes(settings: PretrainSettings, jpeg_bytes_per_s: float) -> float:
    """Return about how many bytes of a clip of full length a worker sends.

    Args:
        settings: of a run.
        jpeg_bytes_per_s: of the pictures of a second in the shards.
    """
    video = settings.video
    sound_s = USED_S if settings.data.sound == "clip" else min(USED_S, video.frames * video.stride / USUAL_RATE)
    sound = (4 * SAMPLE_RATE + INDEX_BYTES_PER_S) * sound_s
    if settings.data.decode == "gpu":
        return sound + video.frames * jpeg_bytes_per_s / USUAL_RATE
    return sound + (
        4 * video.times * video.pixels if settings.needs_only_tubelet_means else video.tokens * video.pixels
    )


def worker_bytes(settings: PretrainSettings, processes: int, jpeg_bytes_per_s: float) -> float:
    """Return about how much shared memory a worker needs, of as many as each of the processes has."""
    clips = settings.data.batch_size / (processes * settings.optim.accumulate)
    return AHEAD * clips * clip_bytes(settings, jpeg_bytes_per_s)


def warning(settings: PretrainSettings, processes: int, here: int, clips: Sequence[Clip | ShardClip]) -> str:
    """Return a line if a run has less free shared memory than it needs, else "".

    Args:
        settings: of the run.
        processes: of the run.
        here: how many of them are on this machine.
        clips: to train on.
    """
    if not settings.data.workers or not FOLDER.is_dir():
        return ""
    jpeg_bytes_per_s = 0.0
    if settings.data.decode == "gpu":
        shown = [(clip.picture_bytes, used_s(clip.duration_s)) for clip in clips if isinstance(clip, ShardClip)]
        jpeg_bytes_per_s = sum(size for size, _ in shown) / sum(seconds for _, seconds in shown)
    need = here * settings.data.workers * worker_bytes(settings, processes, jpeg_bytes_per_s)
    free = shutil.disk_usage(FOLDER).free
    if free >= need:
        return ""
    return (
        f"warning: workers need about {need / 1e9:.2g} GB of shared memory, and {FOLDER} has {free / 1e9:.2g} GB free: "
        f"lower data.workers or data.batch_size, or give a container more (docker run --shm-size={need / 1e9 + 1:.0f}g)"
    )


def needs(jpeg_bytes_per_s: float) -> Iterator[str]:
    """Yield lines that tell what the workers of pretrain/configs/paper.yaml need, for one GPU."""
    paper = load_settings(PretrainSettings, Path(__file__).resolve().parent / "configs" / "paper.yaml", [])
    size, workers = paper.data.batch_size, paper.data.workers
    yield f"Shared memory ({FOLDER}) for pretrain/configs/paper.yaml on one GPU, batches of {size} clips:"
    ways = {
        "clr": paper,
        "mae, mae+clr": replace(paper, objective="mae"),
        "data.decode=gpu": replace(paper, data=replace(paper.data, decode="gpu")),
    }
    for name, settings in ways.items():
        need = worker_bytes(settings, 1, jpeg_bytes_per_s) / 1e9
        yield f"  {name:<16} about {need:.2g} GB for each worker, {workers * need:.2g} GB for {workers} workers"
