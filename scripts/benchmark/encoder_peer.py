"""The encoder's peer: torchaudio's Conformer behind the same sub-sampler, on padded batches."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.conformer import sinusoids
from mmpt.upstream.s3prl_runner.repairs import repair_torchaudio_import


class Peer(nn.Module):
    """Turn features into states, with our sizes and parameters; padding takes part in everything but attention."""

    def __init__(self, config: EncoderConfig):
        repair_torchaudio_import()  # beside a torch that torchaudio's compiled part does not fit
        import torchaudio

        super().__init__()
        padding = config.conv_kernel // 2
        self.conv1 = nn.Conv1d(config.n_mels, config.conv_channels, config.conv_kernel, stride=2, padding=padding)
        self.conv2 = nn.Conv1d(
            config.conv_channels // 2, 2 * config.d_model, config.conv_kernel, stride=2, padding=padding
        )
        self.linear = nn.Linear(config.d_model, config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.conformer = torchaudio.models.Conformer(
            config.d_model, config.n_heads, config.ffn_dim, config.n_layers, config.depthwise_kernel, config.dropout
        )

    def forward(self, feats: list[Tensor]) -> Tensor:
        """Return states (B, T, C) of features (frames, n_mels); T is ceil(frames / 4) of the longest."""
        x = pad_sequence(feats, batch_first=True).transpose(1, 2)
        x = F.glu(self.conv2(F.glu(self.conv1(x), dim=1)), dim=1).transpose(1, 2)
        x = x * math.sqrt(x.shape[-1]) + sinusoids(x.shape[1], x.shape[-1], x.device)
        lengths = torch.tensor([math.ceil(len(one) / 4) for one in feats], device=x.device)
        return self.conformer(self.dropout(self.linear(x)), lengths)[0]


def last_states(model: nn.Module, feats: list[Tensor]) -> Tensor:
    """Return what training needs of either contender, the last block's states: ours packed, the peer's padded."""
    if isinstance(model, Encoder):
        return model.encode_packed(*model.embed(*model.pack(feats)))
    return model(feats)
