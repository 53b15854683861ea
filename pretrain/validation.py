"""Validation of stage 1: reconstruction errors, contrastive loss, retrieval, and pictures of both."""

from pathlib import Path

import torch
from torch import Tensor

from mmpt.pretrain.clip_batch import ClipBatch
from mmpt.pretrain.contrastive import retrieval
from mmpt.pretrain.masking import FRAMES_A_TOKEN, Masks
from mmpt.pretrain.model import AudioVisualModel, Reconstruction
from mmpt.pretrain.plots import Example, reconstruction_picture, similarity_picture
from mmpt.pretrain.tubelets import cut_tubelets, join_tubelets, normalise_pixels
from mmpt.training.distributed import Counts

EXAMPLES = 3  # clips whose reconstruction is drawn, each of another group
ROWS_AT_ONCE = 8192  # of a reconstruction in float64: 100 MB of tubelets of 1536 numbers


class Errors:
    """Squared errors of a reconstruction, and those of a constant one: the mean of all targets in each dimension.

    Sums are in float64; `+` adds those of two ranks.
    """

    def __init__(self):
        self.count = 0
        self.squares: Tensor | float = 0.0  # of the errors, (C,)
        self.targets: Tensor | float = 0.0  # sums of the targets and of their squares, (C,)
        self.target_squares: Tensor | float = 0.0

    def add(self, made: Tensor, target: Tensor) -> None:
        """Add a reconstruction (..., C) and its target."""
        made, target = made.flatten(0, -2), target.flatten(0, -2)
        sums = torch.zeros(3, made.shape[1], dtype=torch.float64, device=made.device)
        for some, wanted in zip(made.split(ROWS_AT_ONCE), target.split(ROWS_AT_ONCE)):
            wide = wanted.double()
            sums += torch.stack([(some.double() - wide).square().sum(0), wide.sum(0), wide.square().sum(0)])
        self.count += len(made)
        squares, targets, target_squares = sums.cpu()
        self.squares = self.squares + squares
        self.targets = self.targets + targets
        self.target_squares = self.target_squares + target_squares

    def __add__(self, other: "Errors") -> "Errors":
        total = Errors()
        for name in vars(total):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total

    def figures(self, name: str) -> dict[str, float]:
        """Return the mean squared error, and its ratio to the error of the constant reconstruction."""
        squares, targets, target_squares = map(torch.as_tensor, (self.squares, self.targets, self.target_squares))
        error = (squares / self.count).mean().item()
        of_mean = (target_squares / self.count - (targets / self.count).square()).mean().item()
        return {f"{name}_error": error, f"{name}_error_over_mean": error / max(of_mean, 1e-12)}


class HeldOutClips:
    """What a model makes of held-out clips: added batch by batch, then merged over ranks."""

    def __init__(self, model: AudioVisualModel):
        self.model = model
        self.audio_errors, self.video_errors = Errors(), Errors()
        self.clips: list[tuple[str, str]] = []  # group, id
        self.audio: list[Tensor] = []
        self.video: list[Tensor] = []
        self.examples: list[Example] = []

    def add(self, clips: ClipBatch, masks: Masks | None) -> None:
        """Add a batch on the model's device; the model is in evaluation mode."""
        feats, frames = self.model.encoder.filterbank.packed(clips.joined, clips.layout), clips.layout.frames
        self.clips += list(zip(clips.groups, clips.ids))
        if masks is not None:
            made, _ = self.model.reconstruct(feats, frames, clips.video, masks)
            self.audio_errors.add(made.audio, made.audio_target)
            self.video_errors.add(made.video, made.video_target)
            self.take_examples(frames.split(feats), clips, masks, made)
        if "clr" in self.model.losses:
            audio, video = self.model.embed(feats, frames, clips.video)
            # Clones: a view would be sent to other ranks with all of its batch.
            self.audio += [row.clone() for row in audio.cpu()]
            self.video += [row.clone() for row in video.cpu()]

    def state(self) -> tuple:
        """Return what other ranks need for `merge`."""
        return self.clips, self.audio, self.video, self.audio_errors, self.video_errors

    def merge(self, states: list[tuple]) -> None:
        """Take over the states of all ranks, with clips in the order of their groups."""
        self.clips, self.audio, self.video = (sum((state[i] for state in states), []) for i in range(3))
        self.audio_errors, self.video_errors = (sum((state[i] for state in states), Errors()) for i in (3, 4))
        order = sorted(range(len(self.clips)), key=self.clips.__getitem__)
        self.clips = [self.clips[i] for i in order]
        if self.audio:
            self.audio, self.video = [self.audio[i] for i in order], [self.video[i] for i in order]

    def similarity(self) -> Tensor:
        """Return the similarity of each sound (rows) to each picture (columns), in the order of `clips`."""
        with torch.autocast("cpu", enabled=False):  # in half precision near values would tie
            return torch.stack(self.audio) @ torch.stack(self.video).T

    def figures(self) -> dict[str, float]:
        """Return all figures by name; `loss` is the sum that training minimises, over all clips at once."""
        weights, loss = self.model.weights, 0.0
        figures: dict[str, float] = {}
        if "audio" in self.model.losses:
            figures |= self.audio_errors.figures("audio") | self.video_errors.figures("video")
            loss += weights.audio * figures["audio_error"] + weights.video * figures["video_error"]
        if "clr" in self.model.losses:
            device = self.model.contrast.log_scale.device
            audio, video = (torch.stack(items).to(device) for items in (self.audio, self.video))
            figures["clr"] = self.model.contrast(audio, video, Counts([{"clips": len(audio)}])).item()
            figures |= retrieval(self.similarity(), [group for group, _ in self.clips])
            loss += weights.clr * figures["clr"]
        return {"loss": loss, **figures}

    def draw(self, folder: Path, step: int) -> None:
        """Draw this validation as PNG files, named by the step."""
        if self.examples:
            reconstruction_picture(self.examples, folder / f"reconstruction_{step:08d}.png")
        if self.audio:
            similarity_picture(
                self.similarity(), [group for group, _ in self.clips], folder / f"retrieval_{step:08d}.png"
            )

    def take_examples(self, feats: list[Tensor], clips: ClipBatch, masks: Masks, made: Reconstruction) -> None:
        """Keep the first clips of different groups, to be drawn."""
        shown = {example.group for example in self.examples}
        for number, group in enumerate(clips.groups):
            if group not in shown and len(self.examples) < EXAMPLES:
                shown.add(group)
                sounds = example_sound(feats, masks, made, number)
                pictures = example_pictures(self.model, clips.video, masks, made, number)
                self.examples.append(Example(clips.ids[number], group, sounds, pictures))


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
