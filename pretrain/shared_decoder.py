"""The decoder of the masked objective, which sound and pictures share (He et al. 2022)."""

import torch
from torch import Tensor, nn

from mmpt.pretrain.masking import FRAMES_A_TOKEN, Masks
from mmpt.pretrain.settings import MaskedSettings, VideoSettings
from mmpt.pretrain.transformer import attend_to_neighbours, transformer
from mmpt.pretrain.tubelets import pick_tokens, rows_of
from mmpt.pretrain.video_encoder import VideoPositions
from mmpt.upstream.mmpt_av.conformer import sinusoids
from mmpt.upstream.mmpt_av.linear import Linear
from mmpt.upstream.mmpt_av.recompute import run_block


class SharedDecoder(nn.Module):
    """A plain Vision Transformer that reconstructs the masked tokens of sound, or of pictures.

    The modalities share its blocks. Each has its own mask token, positions, and linear layers around the blocks.
    """

    checkpointing = False  # of blocks

    def __init__(self, settings: MaskedSettings, video: VideoSettings, d_audio: int, n_mels: int):
        super().__init__()
        width = settings.decoder_width
        self.audio_in, self.video_in = Linear(d_audio, width), Linear(video.d_model, width)
        # Zeroed tokens are encoded with the rest: no place is left to fill, and a mask token would get no gradient.
        self.audio_token = nn.Parameter(torch.zeros(width)) if settings.audio_mask == "drop" else None
        self.video_token = nn.Parameter(torch.zeros(width))
        self.video_positions = VideoPositions(video, width)
        self.blocks = transformer(width, settings.decoder_layers, settings.decoder_heads)
        self.norm = nn.LayerNorm(width)
        self.audio_out, self.video_out = Linear(width, FRAMES_A_TOKEN * n_mels), Linear(width, video.pixels)
        for token in (self.audio_token, self.video_token):
            if token is not None:
                nn.init.normal_(token, std=0.02)
        attend_to_neighbours(self.blocks)

    def audio(self, states: Tensor, masks: Masks) -> Tensor:
        """Return reconstructed features (B, 4 * longest, n_mels), meaningless past a clip's end.

        Args:
            states: of the encoded tokens, packed (masks.encoded.total, d_audio).
            masks: of the batch.
        """
        x = self.audio_in(states)
        clips, longest = len(masks.audio.lengths), masks.audio.longest
        blank = x.new_zeros(x.shape[1]) if self.audio_token is None else self.audio_token.to(x.dtype)
        full = blank.expand(clips * longest, -1).index_copy(0, masks.audio_seen_cells, x).unflatten(0, (clips, longest))
        full = full + sinusoids(longest, x.shape[1], x.device)  # float32: the blocks add to it in full precision
        visible = None if masks.audio.dense else masks.audio.visible()
        return self.audio_out(self.run(full, visible)).unflatten(2, (FRAMES_A_TOKEN, -1)).flatten(1, 2)

    def video(self, states: Tensor, masks: Masks, loss_on: str) -> Tensor:
        """Return reconstructed tubelets: the masked ones (B, M, pixels), or all (B, tokens, pixels).

        Args:
            states: (B, K, d_video) of the encoded tubelets.
            masks: of the batch.
            loss_on: "masked" or "all".
        """
        x = self.video_in(states)
        positions = self.video_positions()
        clips, tokens = len(x), len(positions)
        rows = rows_of(masks.video_seen, tokens)
        full = self.video_token.to(x.dtype).expand(clips * tokens, -1).index_copy(0, rows, x.flatten(0, 1))
        full = full.unflatten(0, (clips, tokens))
        full = self.run(full + positions, None)
        if loss_on == "masked":
            full = pick_tokens(full, masks.video_hidden)
        return self.video_out(full)

    def run(self, x: Tensor, visible: Tensor | None) -> Tensor:
        """Run the blocks and the last norm over (B, T, width); `visible` (B, T) is False on padding."""
        for block in self.blocks:
            x = run_block(block, x, visible, checkpointing=self.checkpointing)
        return self.norm(x)
