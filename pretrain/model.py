"""The audio-visual model: both encoders, and the parts of each objective on top of them."""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpt.pretrain.contrast_in_parts import PartOfContrast
from mmpt.pretrain.contrastive import InfoNCE
from mmpt.pretrain.masking import Masks, frames_of
from mmpt.pretrain.settings import PretrainSettings
from mmpt.pretrain.shared_decoder import SharedDecoder
from mmpt.pretrain.transformer import compile_transformer
from mmpt.pretrain.tubelets import cut_tubelets, normalise_pixels, normalise_tubelets, pick_tokens
from mmpt.pretrain.video_encoder import VideoEncoder
from mmpt.training.distributed import Counts
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.packing import Packing


@dataclass(frozen=True)
class Reconstruction:
    """The reconstruction of a batch's wanted frames and tubelets, and its targets."""

    audio: Tensor  # (W, n_mels) frames
    audio_target: Tensor
    video: Tensor  # (B, M, pixels) tubelets
    video_target: Tensor


def build_model(settings: PretrainSettings) -> "AudioVisualModel":
    """Return the model of a run; the seed gives its weights."""
    torch.manual_seed(settings.seed)
    return AudioVisualModel(settings, Encoder(EncoderConfig.preset(settings.preset)))


class AudioVisualModel(nn.Module):
    """Both encoders and the parts of the objective. Nothing else is built, so that every parameter has a gradient."""

    def __init__(self, settings: PretrainSettings, encoder: Encoder):
        super().__init__()
        video, masked = settings.video, settings.masked
        self.losses = settings.losses
        self.video, self.masked, self.weights = video, masked, settings.weights
        self.encoder = encoder
        self.video_encoder = VideoEncoder(video)
        if "clr" in self.losses:
            self.audio_projection = nn.Linear(encoder.config.d_model, settings.projection)
            self.video_projection = nn.Linear(video.d_model, settings.projection)
            self.contrast = InfoNCE(settings.temperature, settings.temperature_learned)
        if settings.is_masked:
            self.decoder = SharedDecoder(masked, video, encoder.config.d_model, encoder.config.n_mels)

    def forward(
        self,
        feats: Tensor,
        frames: Packing,
        video: Tensor,
        masks: Masks | None,
        counts: Counts,
        part: PartOfContrast | None = None,
    ) -> dict[str, Tensor]:
        """Return losses by name and their weighted sum `loss`: a batch's part of the mean over the update.

        Args:
            feats: normalised features, packed (frames.total, n_mels).
            frames: of each clip in `feats`.
            video: (B, 3, frames, size, size) uint8, or where these are enough the means of tubelets (see ClipBatch).
            masks: None without a masked objective.
            counts: of the update, with `clips`, `audio_frames` and `video_tubelets` (see TrainingTask.loss).
            part: what contrastive learning must know of the update's other micro-batches, if there are any.
        """
        losses: dict[str, Tensor] = {}
        embedded = None
        same_draws = part.same_draws if part else nullcontext
        if masks is not None:
            with same_draws() if self.masked.clr_sees == "masked" else nullcontext():
                made, embedded = self.reconstruct(feats, frames, video, masks)
            audio_error = (made.audio - made.audio_target).square().mean(-1).sum()
            video_error = (made.video - made.video_target).square().mean(-1).sum()
            losses = {
                "audio": audio_error * counts.scale("audio_frames"),
                "video": video_error * counts.scale("video_tubelets"),
            }
        if "clr" in self.losses:
            if embedded is None:
                with same_draws():
                    embedded = self.embed(feats, frames, video)
            losses["clr"] = part.with_gradients(*embedded, self.contrast) if part else self.contrast(*embedded, counts)
        return {"loss": sum(getattr(self.weights, name) * value for name, value in losses.items()), **losses}

    def compile_blocks(self) -> None:
        """Let torch compile the blocks at their first use."""
        self.encoder.compile_blocks()
        compile_transformer(self.video_encoder.blocks)
        if "audio" in self.losses:
            compile_transformer(self.decoder.blocks)

    def compared(self, feats: Tensor, frames: Packing, video: Tensor, masks: Masks | None) -> tuple[Tensor, Tensor]:
        """Return unit vectors (B, projection) of sounds and of pictures, as contrastive learning compares them."""
        if masks is None or self.masked.clr_sees != "masked":
            return self.embed(feats, frames, video)
        states, packing = self.encode_seen(feats, frames, masks)
        seen = pick_tokens(cut_tubelets(video, self.video), masks.video_seen)
        return self.project(mean_states(states, packing), self.video_encoder.encode(seen, masks.video_seen).mean(1))

    def embed(self, feats: Tensor, frames: Packing, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit vectors (B, projection) of sounds and of pictures, without masks."""
        x, packing = self.encoder.embed(feats, frames)
        audio = mean_states(self.encoder.encode_packed(x, packing), packing)
        return self.project(audio, self.video_encoder.pool(video))

    def project(self, audio: Tensor, video: Tensor) -> tuple[Tensor, Tensor]:
        """Project means over time (B, d) of both modalities to unit vectors (B, projection)."""
        audio, video = self.audio_projection(audio), self.video_projection(video)
        return F.normalize(widen(audio), dim=-1), F.normalize(widen(video), dim=-1)

    def reconstruct(
        self, feats: Tensor, frames: Packing, video: Tensor, masks: Masks
    ) -> tuple[Reconstruction, tuple[Tensor, Tensor] | None]:
        """Reconstruct the masked tokens.

        Returns:
            The reconstruction; unit vectors of the masked encodings, if contrastive learning is to see these.
        """
        whole_clips_follow = "clr" in self.losses and self.masked.clr_sees != "masked"
        with self.encoder.untracked() if whole_clips_follow else nullcontext():  # these are as in the tasks
            states, packing = self.encode_seen(feats, frames, masks)
        tubelets = cut_tubelets(video, self.video)
        video_states = self.video_encoder.encode(pick_tokens(tubelets, masks.video_seen), masks.video_seen)
        target = normalise_pixels(
            tubelets if self.masked.loss_on == "all" else pick_tokens(tubelets, masks.video_hidden)
        )
        made = Reconstruction(
            audio=widen(self.decoder.audio(states, masks).flatten(0, 1).index_select(0, masks.audio_wanted)),
            audio_target=feats.index_select(0, masks.audio_targets),
            video=widen(self.decoder.video(video_states, masks, self.masked.loss_on)),
            video_target=normalise_tubelets(target) if self.masked.normalise_pixels else target,
        )
        if whole_clips_follow or "clr" not in self.losses:
            return made, None
        return made, self.project(mean_states(states, packing), video_states.mean(1))

    def encode_seen(self, feats: Tensor, frames: Packing, masks: Masks) -> tuple[Tensor, Packing]:
        """Return the audio encoder's last states of the encoded tokens, packed (masks.encoded.total, d_model)."""
        if self.masked.audio_mask_at == "features":
            feats = feats.index_fill(0, frames_of(masks.audio_hidden), 0.0)
        x, packing = self.encoder.embed(feats, frames)
        if self.masked.audio_mask == "drop":
            x, packing = x.index_select(0, masks.audio_seen), masks.encoded
        elif self.masked.audio_mask_at == "tokens":
            x = x.index_fill(0, masks.audio_hidden, 0.0)
        return self.encoder.encode_packed(x, packing), packing


def mean_states(x: Tensor, packing: Packing) -> Tensor:
    """Return the mean over time of each clip: packed (total, C) to (B, C)."""
    return packing.unpack(x).sum(1) / packing.counts[:, None]


def widen(x: Tensor) -> Tensor:
    """Convert half precision to float32, in which losses are summed."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
