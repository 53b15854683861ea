"""The encoder of Whisper, and the window that it hears an utterance in."""

from typing import Any

import torch
from torch import Tensor, nn

from mmpt.upstream.errors import InputError

from .waveforms import grouped


class WhisperWindows(nn.Module):
    """Whisper's encoder and feature extractor.

    Whisper was trained on windows of 30 s, padded with silence, and has no attention mask: silence is part of what each
    state attends to. A shorter window is faster, since time grows with the window and not with the utterance, and gives
    other states. Windows of different lengths never share a batch. Longer waveforms are cut into windows of 30 s, one
    after another, without overlap; only the last one is padded.

    Args:
        model: WhisperModel; its decoder is dropped.
        extractor: WhisperFeatureExtractor.
        min_window_s: shortest window in seconds; 0 leaves each waveform its own length; None: the whole window.

    Attributes:
        rate: samples of waveform under one state.

    Raises:
        InputError: `min_window_s` is not between 0 and the whole window.
    """

    def __init__(self, model: Any, extractor: Any, min_window_s: float | None = None):
        super().__init__()
        self.encoder = model.encoder
        self.extractor = extractor
        self.rate: int = extractor.hop_length * self.encoder.conv1.stride[0] * self.encoder.conv2.stride[0]
        self.whole: int = self.encoder.config.max_source_positions * self.rate
        whole_s = self.whole / extractor.sampling_rate
        if min_window_s is None:
            min_window_s = whole_s
        if (
            isinstance(min_window_s, bool)
            or not isinstance(min_window_s, int | float)
            or not 0 <= min_window_s <= whole_s
        ):
            raise InputError(f"min_window_s must be a number from 0 to {whole_s:g} (seconds), got {min_window_s!r}")
        self.shortest = self._window(round(min_window_s * extractor.sampling_rate))

    def forward(self, wavs: list[Tensor]) -> list[list[Tensor]]:
        """Map waveforms (samples,) to the states (ceil(samples / rate), C) of all layers."""
        cut = [wav.detach().split(self.whole) for wav in wavs]
        pieces = [piece for parts in cut for piece in parts]
        windows = [max(self.shortest, self._window(len(piece))) for piece in pieces]
        encoded: list[list[Tensor]] = [[] for _ in pieces]
        for group in grouped(windows):
            for layer in self._run([pieces[index] for index in group], windows[group[0]]):
                for index, states in zip(group, layer):
                    encoded[index].append(states[: self._window(len(pieces[index])) // self.rate])
        in_order = iter(encoded)
        return [[torch.cat(layer) for layer in zip(*(next(in_order) for _ in parts))] for parts in cut]

    def _window(self, samples: int) -> int:
        """Return the samples of the whole states, at least one, that cover a waveform."""
        return max(1, -(-samples // self.rate)) * self.rate

    def _run(self, pieces: list[Tensor], window: int) -> list[Tensor]:
        """Return each layer's states (B, window / rate, C).

        This follows `WhisperEncoder.forward`, which refuses windows other than the whole one.
        """
        features = self._log_mel(pieces, window).to(self.encoder.conv1.weight)
        hidden = nn.functional.gelu(self.encoder.conv1(features))
        hidden = nn.functional.gelu(self.encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + self.encoder.embed_positions.weight[: hidden.shape[1]]
        states = [hidden]
        for layer in self.encoder.layers:
            states.append(layer(states[-1], None))
        return [*states[:-1], self.encoder.layer_norm(states[-1])]

    def _log_mel(self, pieces: list[Tensor], window: int) -> Tensor:
        """Return log-mel features (B, bins, frames) in float32, whatever precision the encoder computes in."""
        with torch.autocast(pieces[0].device.type, enabled=False):
            features: Tensor = self.extractor(
                [piece.float().cpu().numpy() for piece in pieces],
                max_length=window,
                sampling_rate=self.extractor.sampling_rate,
                return_tensors="pt",
                device=str(pieces[0].device),
            )["input_features"]
        return features
