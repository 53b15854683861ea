"""Speech translation: the encoder that is being mid-trained, a text decoder on top, and their loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpt.midtrain.decoder import Decoder, DecoderSettings, Memory
from mmpt.midtrain.vocabulary import PAD
from mmpt.upstream.mmpt_av import Encoder


class TranslationModel(nn.Module):
    """An encoder and a decoder of the same width."""

    def __init__(self, encoder: Encoder, vocabulary_size: int, settings: DecoderSettings):
        super().__init__()
        self.encoder = encoder
        self.decoder = Decoder(encoder.config.d_model, vocabulary_size, settings)

    def encode(self, feats: list[Tensor]) -> tuple[Memory, Tensor]:
        """The decoder's memory of normalised features, a list of (frames, n_mels), and the lengths (B,) of their states."""
        x, packing = self.encoder.embed(feats)
        states = packing.unpack(self.encoder.encode_packed(x, packing))
        lengths = torch.tensor(packing.lengths, device=x.device)
        return self.decoder.remember(states, lengths), lengths

    def forward(self, feats: list[Tensor], inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (tokens, vocabulary) and the tokens (tokens,) they should give, without padding.

        Args:
            feats: list of (frames, n_mels).
            inputs: (B, L) BOS then the text. outputs: (B, L) the text then EOS, PAD after it.
        """
        memory, _ = self.encode(feats)
        real = outputs != PAD
        return self.decoder.logits(self.decoder(inputs, memory)[real]), outputs[real]


def smoothed_loss(logits: Tensor, outputs: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Label-smoothed cross entropy (Szegedy et al. 2016) and plain negative log-likelihood, means over tokens, in nats.

    The share `smoothing` goes evenly to the other V - 1 tokens, as in fairseq; torch shares it among all V, hence the factor.

    Args:
        logits: (tokens, vocabulary). outputs: (tokens,).
    """
    logits = logits.float()
    size = logits.shape[-1]
    nll = F.cross_entropy(logits, outputs)
    return F.cross_entropy(logits, outputs, label_smoothing=smoothing * size / (size - 1)), nll
