"""Speech translation: the encoder that is being mid-trained, a text decoder on top, and their losses."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmpt.midtrain.ctc import CtcHead
from mmpt.midtrain.decoder import Decoder, DecoderSettings, Memory
from mmpt.midtrain.vocabulary import PAD
from mmpt.upstream.mmpt_av import Encoder
from mmpt.upstream.mmpt_av.packing import Packing


@dataclass
class Predictions:
    """logits (tokens, vocabulary) of the tokens (tokens,) of all texts, without padding; ctc (total states, transcript vocabulary),
    where the model has such a head, packed as `packing` says.
    """

    logits: Tensor
    tokens: Tensor
    ctc: Tensor | None
    packing: Packing


class TranslationModel(nn.Module):
    """An encoder and a decoder of the same width, and for CTC a layer on the encoder's last states.

    Args:
        vocabulary_size: of the translations; transcript_size: of the transcripts for CTC, 0: no CTC.
    """

    def __init__(self, encoder: Encoder, vocabulary_size: int, settings: DecoderSettings, transcript_size: int = 0):
        super().__init__()
        self.encoder = encoder
        self.decoder = Decoder(encoder.config.d_model, vocabulary_size, settings)
        self.ctc = CtcHead(encoder.config.d_model, transcript_size) if transcript_size else None

    def states(self, feats: list[Tensor]) -> tuple[Tensor, Packing]:
        """The encoder's last states, packed (total, C), of normalised features, a list of (frames, n_mels)."""
        x, packing = self.encoder.embed(feats)
        return self.encoder.encode_packed(x, packing), packing

    def remember(self, states: Tensor, packing: Packing) -> tuple[Memory, Tensor]:
        """The decoder's memory of packed states, and the lengths (B,)."""
        lengths = torch.tensor(packing.lengths, device=states.device)
        return self.decoder.remember(packing.unpack(states), lengths), lengths

    def encode(self, feats: list[Tensor]) -> tuple[Memory, Tensor]:
        """The decoder's memory of features, and the lengths (B,) of their states."""
        return self.remember(*self.states(feats))

    def forward(self, feats: list[Tensor], inputs: Tensor, outputs: Tensor) -> Predictions:
        """What the model says of each token, given those before it.

        Args:
            feats: list of (frames, n_mels).
            inputs: (B, L) BOS then the text. outputs: (B, L) the text then EOS, PAD after it.
        """
        states, packing = self.states(feats)
        memory, _ = self.remember(states, packing)
        real = outputs != PAD
        logits = self.decoder.logits(self.decoder(inputs, memory)[real])
        return Predictions(logits, outputs[real], self.ctc(states) if self.ctc else None, packing)


def smoothed_loss(logits: Tensor, outputs: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Label-smoothed cross entropy (Szegedy et al. 2016) and plain negative log-likelihood, means over tokens, in nats.

    The share `smoothing` goes evenly to the other V - 1 tokens, as in fairseq.

    Args:
        logits: (tokens, vocabulary). outputs: (tokens,).
    """
    log_probs = logits.float().log_softmax(-1)
    nll = F.nll_loss(log_probs, outputs)
    other = smoothing / (logits.shape[-1] - 1)
    return (1 - smoothing - other) * nll - other * log_probs.sum(-1).mean(), nll
