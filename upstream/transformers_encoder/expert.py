"""A speech encoder of transformers as S3PRL's runner expects it: an upstream called `UpstreamExpert`."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import PRECISIONS
from mmpt.upstream.mmpt_av.expert import check_names, read_options
from mmpt.upstream.mmpt_av.precision import computing_in

from .loading import load_encoder

OPTIONS = ("min_window_s", "precision")


class UpstreamExpert(nn.Module):
    """A frozen or fine-tuned encoder of transformers behind S3PRL's upstream interface.

    wav2vec 2.0, HuBERT, WavLM, data2vec-audio, SEW-D, wav2vec2-BERT, and the encoder of Whisper. The waveforms are
    normalised, or turned into log-mel features, as the folder's preprocessor_config.json says.

    An utterance's states are the same alone and in a batch, up to rounding. Some models cannot mask padding: their
    docstrings say why (waveforms.py, whisper.py). They run an utterance at a time, or together with utterances of
    exactly its length.

    Args:
        ckpt: folder that `save_pretrained` wrote, or an id of huggingface.co. A checkpoint with a head (CTC, a
            classifier, Whisper's decoder) gives its encoder alone.
        model_config: path of a YAML file (`-g`) with any of these options:

            - min_window_s: Whisper alone: shorter utterances are padded with silence to so many seconds; default:
              the whole window that the model was trained with, 30 s (see whisper.py).
            - precision: of the matrix products, float32 (default) or bfloat16.
        refresh: download an id again.
        options: the same options, which override those of the file.

    Raises:
        InputError: the checkpoint or an option cannot be used.
        CheckpointError: the YAML file cannot be used, or there is no such option.
    """

    def __init__(self, ckpt: str, model_config: str | None = None, refresh: bool = False, **options: Any):
        super().__init__()
        check_names(options, OPTIONS, ckpt, "option")
        given = {key: value for key, value in options.items() if value is not None}
        options = {**read_options(model_config, OPTIONS), **given}
        self.precision = options.get("precision") or "float32"
        if self.precision not in PRECISIONS:
            raise InputError(
                f"{model_config or ckpt}: precision must be {' or '.join(PRECISIONS)}, got {self.precision!r}"
            )
        self.encoder = load_encoder(str(ckpt), refresh, options.get("min_window_s"))

    def get_downsample_rates(self, key: str) -> int:
        """Return the samples of waveform under one state, the same for every key."""
        return self.encoder.rate

    def forward(self, wavs: list[Tensor]) -> dict[str, Any]:
        """Encode waveforms.

        Args:
            wavs: 1-D tensors (samples,), 16 kHz, in [-1, 1]. They get no gradient while the encoder is trained.

        Returns:
            `hidden_states`, a list of (B, T, C): the input of the first layer, then each layer's output, the last
            one after the model's final layer norm where it has one; `last_hidden_state`; and each layer as
            `hidden_state_0` and so on. See `padded` for T.
        """
        if self.training:
            wavs = [wav.detach() for wav in wavs]  # transformers refuses waveforms that something else computed
        with computing_in(self.precision, wavs[0].device):
            utterances = self.encoder(wavs)
        lengths = [max(1, -(-len(wav) // self.encoder.rate)) for wav in wavs]
        dtype = next(self.parameters()).dtype
        states = [padded(layer, lengths).to(dtype) for layer in zip(*utterances)]
        single = {f"hidden_state_{layer}": one for layer, one in enumerate(states)}
        return {"hidden_states": states, "last_hidden_state": states[-1], **single}


def padded(utterances: Sequence[Tensor], lengths: list[int]) -> Tensor:
    """Make one batch (B, longest, C) of the states of utterances, each (T, C).

    Each utterance gets ceil(samples / rate) states, which is how many `s3prl.nn.S3PRLUpstream` counts, and never fewer
    than the round(samples / rate) that the runner's Featurizer takes. A convolution without padding gives one or two
    fewer. They are filled by repeating the last state, because S3PRLUpstream does so for the longest utterance of a
    batch, and because heads take what is counted for speech. What lies behind is zero.
    """
    steps = torch.arange(max(lengths), device=utterances[0].device)
    rows = []
    for states, length in zip(utterances, lengths):
        filled = states[steps.clamp(max=len(states) - 1)]
        rows.append(filled.masked_fill((steps >= length)[:, None], 0.0))
    return torch.stack(rows)
