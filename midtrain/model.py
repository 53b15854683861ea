"""The speech translation model: the encoder to mid-train, a text decoder on top, and their losses."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from mmpt.midtrain.ctc import CtcHead
from mmpt.midtrain.decoder import Decoder, Memory
from mmpt.midtrain.settings import DecoderSettings
from mmpt.upstream.mmpt_av import Encoder
from mmpt.upstream.mmpt_av.packing import Packing


@dataclass
class Predictions:
    """What the model predicts for a batch, without padding."""

    logits: Tensor  # (tokens, vocabulary), of the tokens of all texts
    ctc: Tensor | None  # (total states, transcript vocabulary), packed; None for a model without CTC
    packing: Packing  # of the states


class TranslationModel(nn.Module):
    """An encoder and a decoder of the same width, and for CTC a linear layer on the encoder's last states.

    Args:
        encoder: the encoder to mid-train.
        vocabulary_size: sub-words of the translations.
        settings: sizes of the decoder.
        transcript_size: sub-words of the transcripts, for CTC; 0: no CTC.
    """

    def __init__(self, encoder: Encoder, vocabulary_size: int, settings: DecoderSettings, transcript_size: int = 0):
        super().__init__()
        self.encoder = encoder
        self.decoder = Decoder(encoder.config.d_model, vocabulary_size, settings)
        self.ctc = CtcHead(encoder.config.d_model, transcript_size) if transcript_size else None

    def states(self, feats: Tensor, frames: Packing) -> tuple[Tensor, Packing]:
        """Return the encoder's last states, packed (total, C), of normalised features (frames.total, n_mels)."""
        x, packing = self.encoder.embed(feats, frames)
        return self.encoder.encode_packed(x, packing), packing

    def remember(self, states: Tensor, packing: Packing) -> tuple[Memory, Tensor]:
        """Return the decoder's memory of packed states, and their lengths (B,)."""
        return self.decoder.remember(packing.unpack(states), packing.visible()), packing.counts

    def encode(self, feats: list[Tensor]) -> tuple[Memory, Tensor]:
        """Return the decoder's memory of features, a list of (frames, n_mels), and the lengths (B,) of their states."""
        return self.remember(*self.states(*self.encoder.pack(feats)))

    def forward(self, feats: Tensor, frames: Packing, inputs: Tensor, texts: Packing) -> Predictions:
        """Predict each token from the speech and the tokens before it.

        Args:
            feats: normalised features, packed (frames.total, n_mels).
            frames: of each utterance in `feats`.
            inputs: (B, L) BOS, then the text; PAD after it.
            texts: of each text in `inputs`, BOS and the text.
        """
        states, packing = self.states(feats, frames)
        memory, _ = self.remember(states, packing)
        logits = self.decoder.logits(texts.pack(self.decoder(inputs, memory)))
        return Predictions(logits, self.ctc(states) if self.ctc else None, packing)


def smoothed_loss(logits: Tensor, outputs: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Return label-smoothed cross entropy (Szegedy et al. 2016) and negative log-likelihood: nats per token.

    Args:
        logits: (tokens, vocabulary).
        outputs: (tokens,) the right tokens.
        smoothing: probability that is spread evenly over the other tokens, as in fairseq.
    """
    log_probs = logits.float().log_softmax(-1)
    nll = F.nll_loss(log_probs, outputs)
    other = smoothing / (logits.shape[-1] - 1)
    return (1 - smoothing - other) * nll - other * log_probs.sum(-1).mean(), nll
