"""Encoders that read the waveform itself: wav2vec 2.0, HuBERT, WavLM, data2vec-audio, SEW-D."""

from collections.abc import Hashable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence


class WaveformEncoder(nn.Module):
    """A convolutional front end under a Transformer, and the normalisation of its processor.

    These run an utterance at a time, or together with utterances of exactly its length, since their own attention mask
    does not keep padding out of an utterance's states:

    - `feat_extract_norm: group` (wav2vec 2.0 base, HuBERT base, WavLM base, SEW-D): the first convolution is
      normalised over time, and padding moves its mean and variance. Their processors return no attention mask for
      that reason.
    - data2vec-audio: its position embedding is a stack of convolutions, and only the first one gets zeros as padding.
    - SEW-D: it averages neighbouring frames, and the last frame of an odd number is averaged with padding.

    The others (`feat_extract_norm: layer`: wav2vec 2.0 large, HuBERT large, WavLM large) run a whole batch under an
    attention mask.

    SEW-D's layers have one state for `squeeze_factor` frames. Each is repeated so that all hidden states have one rate;
    a further hidden state, the last, is the model's own up-sampled output.

    Attributes:
        rate: samples of waveform under one state.
    """

    def __init__(self, model: Any, extractor: Any):
        super().__init__()
        self.model = model
        config = model.config
        self.rate: int = prod(config.conv_stride)
        self.normalises = extractor.do_normalize
        self.squeezes = config.squeeze_factor if config.model_type == "sew-d" else 1
        self.one_length = config.model_type in ("data2vec-audio", "sew-d") or config.feat_extract_norm == "group"
        self.convolutions = list(zip(config.conv_kernel, config.conv_stride))

    def forward(self, wavs: list[Tensor]) -> list[list[Tensor]]:
        """Map waveforms (samples,) to the states (T, C) of all layers, one for every whole receptive field."""
        wavs = [self._prepare(wav) for wav in wavs]
        result: list[list[Tensor]] = [[] for _ in wavs]
        for rows in grouped([len(wav) if self.one_length else 0 for wav in wavs]):
            for layer in self._run([wavs[row] for row in rows]):
                for row, states in zip(rows, layer):
                    result[row].append(states[: self._states(len(wavs[row]))])
        return result

    def _prepare(self, wav: Tensor) -> Tensor:
        """Normalise as Wav2Vec2FeatureExtractor does, and pad to the samples that the first state needs."""
        if self.normalises and len(wav):
            wav = wav.float()
            wav = (wav - wav.mean()) / torch.sqrt(wav.var(correction=0) + 1e-7)
        needed = self.squeezes
        for kernel, stride in reversed(self.convolutions):
            needed = (needed - 1) * stride + kernel
        wav = nn.functional.pad(wav, (0, max(0, needed - len(wav))))
        return wav.to(next(self.model.parameters()).dtype)

    def _states(self, samples: int) -> int:
        """Return how many states a waveform gives."""
        for kernel, stride in self.convolutions:
            samples = (samples - kernel) // stride + 1
        return samples // self.squeezes * self.squeezes

    def _run(self, wavs: list[Tensor]) -> list[Tensor]:
        """Return each layer's states (B, T, C)."""
        lengths = torch.tensor([len(wav) for wav in wavs], device=wavs[0].device)
        batch = pad_sequence(wavs, batch_first=True)
        mask = None
        if lengths.min() < batch.shape[1]:
            mask = (torch.arange(batch.shape[1], device=lengths.device) < lengths[:, None]).long()
        output = self.model(batch, attention_mask=mask, output_hidden_states=True)
        if self.squeezes > 1:
            layers = [states.repeat_interleave(self.squeezes, dim=1) for states in output.hidden_states]
            return [*layers, output.last_hidden_state]
        # transformers 5 leaves the final layer norm out of the last hidden state; 4, fairseq and S3PRL do not.
        return [*output.hidden_states[:-1], output.last_hidden_state]


def grouped(keys: Sequence[Hashable]) -> list[list[int]]:
    """Return the indices of equal keys together, in the order in which the keys come."""
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return list(groups.values())
