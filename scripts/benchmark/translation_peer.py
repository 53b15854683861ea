"""Hugging Face's Speech2Text model at the sizes of ours, and utterances of LibriSpeech-like lengths for both.

The peer's encoder is a Transformer: a layer has one feed-forward module and no convolution, about half the arithmetic
of a Conformer layer. It computes on padding, and has no fused attention.
"""

from dataclasses import dataclass

import numpy
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mmpt.midtrain.settings import DecoderSettings
from mmpt.midtrain.vocabulary import BOS, EOS, PAD
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import EncoderConfig

LONGEST_S, MEAN_S, DEVIATION_S = 17.0, 12.3, 3.84  # LibriSpeech's training utterances, about
TOKENS_A_SECOND = 3.3
IGNORED = -100  # a label that the peer's loss leaves out


@dataclass(frozen=True)
class Utterance:
    """Noise as features (frames, n_mels), and a random text."""

    feats: Tensor
    tokens: list[int]

    @property
    def frames(self) -> int:
        return len(self.feats)


def utterances(number: int, vocabulary: int, seed: int = 0) -> list[Utterance]:
    """Draw utterances whose lengths follow a beta distribution with LibriSpeech's mean and deviation, 1 to 17 s."""
    generator = numpy.random.default_rng(seed)
    mean, variance = MEAN_S / LONGEST_S, (DEVIATION_S / LONGEST_S) ** 2
    total = mean * (1 - mean) / variance - 1
    found = []
    for length_s in generator.beta(mean * total, (1 - mean) * total, number) * LONGEST_S:
        frames = max(100, int(length_s * 100))
        tokens = generator.integers(4, vocabulary, max(1, round(frames / 100 * TOKENS_A_SECOND))).tolist()
        found.append(Utterance(torch.from_numpy(generator.standard_normal((frames, 80), dtype=numpy.float32)), tokens))
    return found


def padding_percent(batches: list[list[Utterance]]) -> float:
    """Return the share of padding in the frames that a model which pads computes on."""
    padded = sum(max(u.frames for u in batch) * len(batch) for batch in batches)
    return 100 * (1 - sum(u.frames for batch in batches for u in batch) / padded)


def make_peer(encoder: EncoderConfig, decoder: DecoderSettings, vocabulary: int, layers: int, device: torch.device):
    """Make the peer, with random weights.

    Raises:
        InputError: transformers is not installed.
    """
    try:
        from transformers import Speech2TextConfig, Speech2TextForConditionalGeneration
    except ImportError as error:
        raise InputError(f"{error}: pip install transformers") from None
    config = Speech2TextConfig(
        vocab_size=vocabulary,
        d_model=encoder.d_model,
        encoder_layers=layers,
        decoder_layers=decoder.n_layers,
        encoder_attention_heads=encoder.n_heads,
        decoder_attention_heads=decoder.n_heads,
        encoder_ffn_dim=encoder.ffn_dim,
        decoder_ffn_dim=decoder.ffn_dim,
        conv_channels=encoder.conv_channels,
        conv_kernel_sizes=[5, 5],
        num_conv_layers=2,
        input_feat_per_channel=80,
        max_source_positions=6000,
        max_target_positions=1024,
        dropout=encoder.dropout,
        attention_dropout=encoder.dropout,
        activation_dropout=encoder.dropout,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        decoder_start_token_id=BOS,
    )
    return Speech2TextForConditionalGeneration(config).to(device)  # type: ignore[arg-type]  # the method is wrapped


def peer_inputs(batch: list[Utterance], device: torch.device) -> dict[str, Tensor]:
    """Return padded features (B, F, 80), which of them are real (B, F), and labels (B, L): the text, then EOS."""
    feats = pad_sequence([u.feats for u in batch], batch_first=True)
    mask = pad_sequence([torch.ones(u.frames, dtype=torch.int64) for u in batch], batch_first=True)
    labels = pad_sequence([torch.tensor([*u.tokens, EOS]) for u in batch], batch_first=True, padding_value=IGNORED)
    return {"input_features": feats.to(device), "attention_mask": mask.to(device), "labels": labels.to(device)}
