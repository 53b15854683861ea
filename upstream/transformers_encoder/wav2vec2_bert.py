"""wav2vec2-BERT: a Conformer on log-mel features."""

from typing import Any

from torch import Tensor, nn

SHORTEST = 560  # samples: two frames of 25 ms, 10 ms apart, make one state


class Wav2Vec2Bert(nn.Module):
    """The encoder and its feature extractor, which runs on the CPU. A batch runs under an attention mask.

    Attributes:
        rate: samples of waveform under one state.
    """

    def __init__(self, model: Any, extractor: Any):
        super().__init__()
        self.model = model
        self.extractor = extractor
        self.rate: int = 160 * extractor.stride

    def forward(self, wavs: list[Tensor]) -> list[list[Tensor]]:
        """Map waveforms (samples,) to the states (T, C) of all layers."""
        sounds = [nn.functional.pad(wav, (0, max(0, SHORTEST - len(wav)))).detach().float().cpu() for wav in wavs]
        inputs = self.extractor([sound.numpy() for sound in sounds], sampling_rate=16_000, return_tensors="pt")
        parameter = next(self.model.parameters())
        output = self.model(
            inputs["input_features"].to(parameter),
            attention_mask=inputs["attention_mask"].to(parameter.device),
            output_hidden_states=True,
        )
        layers = [*output.hidden_states[:-1], output.last_hidden_state]
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        return [[layer[row, :length] for layer in layers] for row, length in enumerate(lengths)]
