"""The encoder's batch statistics for the tasks, estimated over whole clips after masked training.

Masked training drops most tokens, and the running statistics of its batch norms are those of what is left. The tasks
encode whole utterances. So before the encoder is exported, the statistics are estimated anew over training clips
without masks; the weights stay as they are.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from mmpt.pretrain.clips import ClipDataset, read_clips, sampling_of, training_part
from mmpt.pretrain.settings import PretrainSettings
from mmpt.training.epochs import epoch_order
from mmpt.training.media import MediaError
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder
from mmpt.upstream.mmpt_av.precision import computing_in
from mmpt.upstream.progress import Progress

CLIPS = 1024  # whose sound is used, at most: the first of the first epoch
BATCH_CLIPS = 32


def training_clips(settings: PretrainSettings, manifest: Path) -> ClipDataset:
    """Return the training clips of a run.

    Raises:
        InputError: the manifest or the folder of shards does not fit, or has no training clip.
    """
    clips = training_part(read_clips(manifest), settings.data.sets, manifest)
    if not clips:
        raise InputError(f"{manifest}: lists no training clip")
    return ClipDataset(clips, sampling_of(settings), settings.seed, memory_gb=0)


def use_whole_clips(encoder: Encoder, clips: ClipDataset, device: torch.device) -> dict[str, str]:
    """Estimate the encoder's batch statistics over whole training clips, always the same ones.

    Args:
        encoder: is on the CPU and in evaluation mode afterwards.
        clips: of training.
        device: to compute on.

    Returns:
        What the provenance says about it.

    Raises:
        InputError: not one of the clips can be read.
    """
    encoder.to(device)
    try:
        with computing_in("float32", device):
            batches = batches_of_sound(clips, device)
            estimate_statistics(encoder, (encoder.filterbank.separate(wavs) for wavs in batches))
    finally:
        encoder.cpu()
    return {"batch_statistics": "unmasked"}


def batches_of_sound(clips: ClipDataset, device: torch.device) -> Iterator[list[Tensor]]:
    """Yield the waveforms (samples,) of the first clips of the first epoch, without those that cannot be read."""
    wavs: list[Tensor] = []
    problem = found = None
    chosen = epoch_order(len(clips), clips.seed, epoch=0)[:CLIPS]
    for number, index in enumerate(Progress(chosen, unit="clip", desc="batch statistics", leave=False), start=1):
        try:
            wavs.append(found := clips.sound(0, index).to(device))
        except MediaError as error:
            problem = error
        if wavs and (len(wavs) == BATCH_CLIPS or number == len(chosen)):
            yield wavs
            wavs = []
    if found is None:
        raise InputError(f"not one of {len(chosen)} training clips can be read; the last reason: {problem}")


@torch.no_grad()
def estimate_statistics(encoder: Encoder, batches: Iterable[list[Tensor]]) -> None:
    """Set the statistics of each batch norm to those of its inputs over all frames of some utterances.

    Block by block, without dropout: each one gets the states that the blocks before it make with their new statistics.
    The states of one layer are kept in memory, for all utterances.

    Args:
        encoder: is in evaluation mode afterwards.
        batches: normalised features (frames, n_mels) of each utterance, on the encoder's device.
    """
    encoder.eval()
    embedded = (encoder.embed(*encoder.pack(feats)) for feats in batches)
    states = [(x, packing.places()) for x, packing in embedded]
    for block in encoder.blocks:
        norm = next(module for module in block.modules() if isinstance(module, nn.BatchNorm1d))
        sums = Sums()
        with norm.register_forward_pre_hook(lambda _, inputs, sums=sums: sums.add(*inputs)):
            for x, places in states:
                block(x, places)
        sums.write(norm)
        for number, (x, places) in enumerate(states):
            states[number] = block(x, places), places


class Sums:
    """Sums over all frames of a batch norm's input, in float64."""

    def __init__(self) -> None:
        self.frames = 0
        self.sum: Tensor | float = 0.0  # (C,)
        self.squares: Tensor | float = 0.0

    def add(self, x: Tensor) -> None:
        """Add frames (N, C)."""
        x = x.double()
        self.frames += len(x)
        self.sum = self.sum + x.sum(0)
        self.squares = self.squares + x.square().sum(0)

    def write(self, norm: nn.BatchNorm1d) -> None:
        """Give a batch norm the mean and, as in training, the unbiased variance."""
        mean = torch.as_tensor(self.sum) / self.frames
        variance = (torch.as_tensor(self.squares) - self.frames * mean.square()) / (self.frames - 1)
        norm.load_state_dict({**norm.state_dict(), "running_mean": mean, "running_var": variance.clamp(min=0.0)})
