"""Validation of stage 1: reconstruction errors, contrastive loss, retrieval, and pictures of both."""

import functools
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mmpt.pretrain.clip_batch import ClipBatch
from mmpt.pretrain.curves import curve_picture
from mmpt.pretrain.figures import Figure, HeldOutClip
from mmpt.pretrain.manifest import Clip
from mmpt.pretrain.masking import FRAMES_A_TOKEN, Masks
from mmpt.pretrain.model import AudioVisualModel, Reconstruction
from mmpt.pretrain.plots import Example, reconstruction_picture, similarity_picture
from mmpt.pretrain.reconstruction_errors import clip_sums, error_figures
from mmpt.pretrain.retrieval import retrieval
from mmpt.pretrain.shard_index import ShardClip
from mmpt.pretrain.tubelets import cut_tubelets, join_tubelets, normalise_pixels
from mmpt.pretrain.validation_record import record
from mmpt.training.distributed import Counts

EXAMPLES = 3  # clips whose reconstruction is drawn, each of another group


class HeldOutClips:
    """What a model makes of held-out clips: added batch by batch, then merged over ranks.

    Args:
        model: to validate.
        listed: the held-out clips as their manifest or index lists them.
    """

    def __init__(self, model: AudioVisualModel, listed: Sequence[Clip | ShardClip]):
        self.model = model
        self.clusters = {clip.id: cluster_of(clip) for clip in listed}
        self.clips: list[HeldOutClip] = []
        self.kept: dict[str, list[Tensor]] = {}  # name → rows of each batch on the CPU, one a clip
        self.examples: list[Example] = []

    def add(self, clips: ClipBatch, masks: Masks | None) -> None:
        """Add a batch on the model's device; the model is in evaluation mode."""
        feats, frames = self.model.encoder.filterbank.packed(clips.joined, clips.layout), clips.layout.frames
        self.clips += [HeldOutClip(group, name, self.clusters[name]) for group, name in zip(clips.groups, clips.ids)]
        if masks is not None:
            made, _ = self.model.reconstruct(feats, frames, clips.video, masks)
            self.keep("audio_sums", sound_sums(made, masks, len(clips)))
            self.keep("video_sums", picture_sums(made))
            self.take_examples(frames.split(feats), clips, masks, made)
        if "clr" in self.model.losses:
            audio, video = self.model.embed(feats, frames, clips.video)
            self.keep("audio", audio.cpu())
            self.keep("video", video.cpu())

    def keep(self, name: str, rows: Tensor) -> None:
        """Keep rows of the clips that were added last."""
        self.kept.setdefault(name, []).append(rows)

    def state(self) -> tuple:
        """Return what other ranks need for `merge`."""
        return self.clips, self.kept

    def merge(self, states: list[tuple]) -> None:
        """Take over the states of all ranks, with clips in the order of their groups."""
        clips = [clip for clips, _ in states for clip in clips]
        order = sorted(range(len(clips)), key=lambda i: (clips[i].group, clips[i].id))
        self.clips = [clips[i] for i in order]
        names = dict.fromkeys(name for _, kept in states for name in kept)
        batches = {name: [rows for _, kept in states for rows in kept.get(name, [])] for name in names}
        self.kept = {name: [torch.cat(rows)[order]] for name, rows in batches.items()}

    def of_all(self, name: str) -> Tensor:
        """Return what was kept under a name, one row a clip; call `merge` before."""
        [rows] = self.kept[name]
        return rows

    @functools.cached_property
    def similarity(self) -> Tensor:
        """The similarity of each sound (rows) to each picture (columns), in the order of `clips`."""
        with torch.autocast("cpu", enabled=False):  # in half precision near values would tie
            return self.of_all("audio") @ self.of_all("video").T

    @functools.cached_property
    def by_clip(self) -> dict[str, Figure]:
        """The figures by name that are made of parts, one a clip: retrieval and reconstruction errors."""
        figures: dict[str, Figure] = {}
        if "audio" in self.model.losses:
            figures |= error_figures("audio", self.of_all("audio_sums"), self.clips)
            figures |= error_figures("video", self.of_all("video_sums"), self.clips)
        return figures | (retrieval(self.similarity, self.clips) if "clr" in self.model.losses else {})

    def figures(self) -> dict[str, float]:
        """Return all figures by name; `loss` is the sum that training minimises, over all clips at once."""
        weights, loss = self.model.weights, 0.0
        figures = {name: figure.value for name, figure in self.by_clip.items()}
        for name in ("chance_r1", "within_chance_r1"):
            figure = self.by_clip.get(name.replace("chance", "audio_to_video"))
            figures |= {name: figure.chance} if figure and figure.chance else {}
        if "audio" in self.model.losses:
            loss += weights.audio * figures["audio_error"] + weights.video * figures["video_error"]
        if "clr" in self.model.losses:
            device = self.model.contrast.log_scale.device
            audio, video = (self.of_all(name).to(device) for name in ("audio", "video"))
            figures["clr"] = self.model.contrast(audio, video, Counts([{"clips": len(audio)}])).item()
            loss += weights.clr * figures["clr"]
        return {"loss": loss, **figures}

    def write(self, folder: Path, step: int) -> None:
        """Add this validation to a run's folder: its figures with intervals, and pictures named by the step."""
        rows, pictures = record(folder, step, self.by_clip), folder / "pictures"
        curve_picture(rows, pictures / "validation.png")
        if self.examples:
            reconstruction_picture(self.examples, pictures / f"reconstruction_{step:08d}.png")
        if "audio" in self.kept:
            groups = [clip.group for clip in self.clips]
            similarity_picture(self.similarity, groups, pictures / f"retrieval_{step:08d}.png")

    def take_examples(self, feats: list[Tensor], clips: ClipBatch, masks: Masks, made: Reconstruction) -> None:
        """Keep the first clips of different groups, to be drawn."""
        shown = {example.group for example in self.examples}
        for number, group in enumerate(clips.groups):
            if group not in shown and len(self.examples) < EXAMPLES:
                shown.add(group)
                sounds = example_sound(feats, masks, made, number)
                pictures = example_pictures(self.model, clips.video, masks, made, number)
                self.examples.append(Example(clips.ids[number], group, sounds, pictures))


def cluster_of(clip: Clip | ShardClip) -> str:
    """Return what a clip shares with others of its speaker or action, or else of its recording."""
    return clip.group or (str(clip.video) if isinstance(clip, Clip) else clip.id)


def sound_sums(made: Reconstruction, masks: Masks, clips: int) -> Tensor:
    """Return `clip_sums` of a batch's reconstructed sound."""
    return clip_sums(made.audio, made.audio_target, masks.audio_wanted // (FRAMES_A_TOKEN * masks.audio.longest), clips)


def picture_sums(made: Reconstruction) -> Tensor:
    """Return `clip_sums` of a batch's reconstructed pictures, which are (B, tubelets, C)."""
    clips, tubelets, _ = made.video.shape
    clip_of_row = torch.arange(clips, device=made.video.device).repeat_interleave(tubelets)
    return clip_sums(made.video.flatten(0, 1), made.video_target.flatten(0, 1), clip_of_row, clips)


def example_sound(feats: list[Tensor], masks: Masks, made: Reconstruction, number: int) -> list[Tensor]:
    """Return a clip's features (frames, n_mels): original, masked (NaN where hidden), and reconstructed."""
    frames_a_clip = FRAMES_A_TOKEN * masks.audio.longest
    start, length = sum(masks.audio.lengths[:number]), masks.audio.lengths[number]
    original = feats[number].float().cpu()
    hidden = masks.audio_hidden.cpu() - start
    hidden = hidden[(hidden >= 0) & (hidden < length)]
    masked, filled = original.clone(), original.clone()
    masked.unflatten(0, (length, FRAMES_A_TOKEN))[hidden] = torch.nan
    wanted = masks.audio_wanted.cpu() - number * frames_a_clip
    own = (wanted >= 0) & (wanted < frames_a_clip)
    filled[wanted[own]] = made.audio.float().cpu()[own]
    return [original, masked, filled]


def example_pictures(
    model: AudioVisualModel, video: Tensor, masks: Masks, made: Reconstruction, number: int
) -> list[Tensor]:
    """Return a clip's pictures (frames, size, size, 3) uint8: original, masked (grey where hidden), reconstructed."""
    tubelets = normalise_pixels(cut_tubelets(video[number : number + 1].cpu(), model.video))[0]
    hidden = masks.video_hidden[number].cpu()
    mine = made.video[number].float().cpu()
    if model.masked.normalise_pixels:  # back to the original brightness, as MAE shows it
        original = tubelets[hidden] if model.masked.loss_on == "masked" else tubelets
        variance, mean = torch.var_mean(original, dim=-1, keepdim=True)
        mine = mine * (variance + 1e-6).sqrt() + mean
    masked, filled = tubelets.clone(), tubelets.clone()
    masked[hidden] = 0.0
    filled[hidden] = mine if model.masked.loss_on == "masked" else mine[hidden]
    return [join_tubelets(one[None], model.video)[0].permute(1, 2, 3, 0) for one in (tubelets, masked, filled)]
