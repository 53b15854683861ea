"""The memory that an update of stage 1 takes on a GPU."""

import torch
from torch import Tensor

from mmpt.pretrain.manifest import USED_S
from mmpt.pretrain.masking import Masks, draw_masks
from mmpt.pretrain.model import AudioVisualModel
from mmpt.pretrain.settings import PretrainSettings
from mmpt.training.device import uses_bfloat16
from mmpt.training.distributed import Counts
from mmpt.training.memory_estimate import Memory, count_memory
from mmpt.training.memory_report import print_memory
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.mmpt_av.layout import Layout
from mmpt.upstream.mmpt_av.packing import Packing


def report_memory(model: AudioVisualModel, settings: PretrainSettings, processes: int) -> None:
    """Print the memory of an update of clips of full length before a run begins (see print_memory)."""
    device = next(model.parameters()).device
    clips = settings.data.batch_size // processes

    def count(parts: int) -> Memory:
        return memory_of_clips(model, settings, clips // parts, uses_bfloat16(settings, device))

    choices = [parts for parts in range(1, clips + 1) if clips % parts == 0]
    print_memory(count, choices, settings.optim, device)


def memory_of_clips(model: AudioVisualModel, settings: PretrainSettings, clips: int, bfloat16: bool) -> Memory:
    """Return the memory of a micro-batch of so many clips of full length.

    The model is left as it is; it may lie on any device.
    """
    video, samples = settings.video, [round(USED_S * SAMPLE_RATE)] * clips
    names = [f"clip{number}" for number in range(clips)]
    masks = draw_masks(settings.masked, 0, 0, names, samples, video.tokens) if settings.is_masked else None

    def inputs() -> tuple[Tensor, Packing, Tensor, Masks | None]:
        layout = Layout(samples).prepare().to("cuda")
        feats = torch.empty(layout.frames.total, model.encoder.config.n_mels, device="cuda")
        if settings.needs_only_tubelet_means:
            pictures = torch.empty(clips, video.times, video.pixels, device="cuda")
        else:
            shape = (clips, 3, video.frames, video.size, video.size)
            pictures = torch.empty(shape, dtype=torch.uint8, device="cuda")
        return feats, layout.frames, pictures, masks and masks.map(empty_on_gpu).prepare()

    counts = {
        "clips": clips,
        "audio_frames": len(masks.audio_wanted) if masks else 0,
        "video_tubelets": masks.video_wanted if masks else 0,
    }
    blocks = [*model.encoder.blocks, *model.video_encoder.blocks]
    blocks += [*model.decoder.blocks] if settings.is_masked else []
    return count_memory(model, blocks, bfloat16, inputs, lambda call, batch: call(*batch, Counts([counts]))["loss"])


def empty_on_gpu(value: Tensor | Packing) -> Tensor | Packing:
    """Return a tensor without values or a packing, like `value`."""
    if isinstance(value, Packing):
        return Packing(value.lengths).to("cuda")
    return torch.empty(value.shape, dtype=value.dtype, device="cuda")
