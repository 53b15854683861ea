"""The encoder as S3PRL's runner wants it: an upstream called `UpstreamExpert`."""

from torch import Tensor, nn

from .checkpoint import load_encoder


class UpstreamExpert(nn.Module):
    """A frozen or fine-tuned encoder behind S3PRL's upstream interface.

    Args:
        ckpt: path of an encoder checkpoint.
        model_config: unused; S3PRL hands it to every upstream.
    Raises:
        CheckpointError: the checkpoint cannot be used.
    """

    def __init__(self, ckpt: str, model_config: str | None = None, **kwargs):
        super().__init__()
        self.encoder = load_encoder(ckpt)

    def get_downsample_rates(self, key: str) -> int:
        """Samples of waveform under one state, the same for every key."""
        return self.encoder.hop

    def forward(self, wavs: list[Tensor]) -> dict:
        """wavs: list of (samples,). Returns `hidden_states`, a list of (B, T, C), and `last_hidden_state`."""
        states = list(self.encoder(wavs).hidden_states)
        return {"hidden_states": states, "last_hidden_state": states[-1]}
