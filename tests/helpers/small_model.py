"""A small audio-visual model in double precision and a batch of noise for it."""

import math

import torch

from mmpt.pretrain.masking import draw_masks
from mmpt.pretrain.model import AudioVisualModel
from mmpt.pretrain.settings import MaskedSettings, PretrainSettings, VideoSettings, WeightSettings
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.packing import Packing

VIDEO = VideoSettings(size=8, frames=4, patch=4, tubelet=2, d_model=16, n_layers=2, n_heads=2)
SAMPLES = [6400, 641, 12000, 9999, 3200, 8000]  # of clips that differ in length, one of them hardly longer than a state


def masked_settings(**options) -> MaskedSettings:
    return MaskedSettings(**{"decoder_width": 16, "decoder_layers": 2, "decoder_heads": 2, **options})


def small_model(objective: str, seed: int = 0, **options) -> AudioVisualModel:
    torch.manual_seed(seed)
    sizes = {
        "conv_channels": 16,
        "d_model": 16,
        "n_layers": 2,
        "n_heads": 2,
        "ffn_dim": 32,
        "depthwise_kernel": 5,
        "dropout": 0.0,
    }
    settings = PretrainSettings(
        objective=objective,
        projection=12,
        temperature=0.2,
        video=VIDEO,
        masked=masked_settings(**options),
        weights=WeightSettings(audio=1.0, video=0.5, clr=2.0),
    )
    return AudioVisualModel(settings, Encoder(EncoderConfig(**sizes))).double()


def noise_batch(clips: list[int]) -> tuple:
    """Names, samples, features and pictures of some of the clips 0 … 5; each clip is the same in any company."""
    feats, videos = [], []
    for clip in clips:
        generator = torch.Generator().manual_seed(clip)
        feats.append(torch.randn(4 * math.ceil(SAMPLES[clip] / 640), 80, generator=generator, dtype=torch.float64))
        videos.append(
            torch.randint(0, 256, (3, VIDEO.frames, VIDEO.size, VIDEO.size), generator=generator, dtype=torch.uint8)
        )
    return [f"clip{clip}" for clip in clips], [SAMPLES[clip] for clip in clips], feats, torch.stack(videos)


def packed(feats: list[torch.Tensor]) -> tuple[torch.Tensor, Packing]:
    return torch.cat(feats), Packing([len(one) for one in feats])


def masks_of(model: AudioVisualModel, ids: list[str], samples: list[int]):
    return draw_masks(model.masked, 3, 1, ids, samples, VIDEO.tokens) if "audio" in model.losses else None


def counts_of(ids: list[str], masks) -> dict[str, int]:
    return {
        "clips": len(ids),
        "audio_frames": len(masks.audio_wanted) if masks else 0,
        "video_tubelets": masks.video_wanted if masks else 0,
    }
