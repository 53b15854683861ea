"""Settings of stage 2, importable without torch: a run folder's config.yaml is enough to repeat a run."""

from dataclasses import dataclass, field

from mmpt.training.settings import TrainSettings, require, require_preset, require_share, require_workers


@dataclass(frozen=True)
class DataSettings:
    """Which corpus to train on, and how to read it."""

    # MuST-C as published, or a folder made by scripts/prepare/must_c.py; None: the built samples
    root: str | None = None
    batch_frames: int = 40_000  # frames of speech (10 ms) in an update, over all utterances and GPUs
    max_frames: int = 3000  # longer training segments are dropped
    vocabulary_size: int = 8000  # sub-words of the translations, at most
    workers: int = 4  # reading processes for each GPU
    max_bad_share: float = 0.05  # share of training segments that may be unreadable before the run stops

    def __post_init__(self) -> None:
        require(
            min(self.batch_frames, self.max_frames, self.vocabulary_size) >= 1,
            "data.batch_frames, data.max_frames and data.vocabulary_size must be at least 1",
        )
        require_workers(self.workers)
        require_share("data.max_bad_share", self.max_bad_share)


@dataclass(frozen=True)
class DecoderSettings:
    """Sizes of the text decoder, which is as wide as the encoder. Defaults: fairseq's s2t_transformer_s."""

    n_layers: int = 6
    n_heads: int = 4
    ffn_dim: int = 2048
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(
            min(self.n_layers, self.n_heads, self.ffn_dim) >= 1,
            "decoder.n_layers, n_heads and ffn_dim must be at least 1",
        )
        require(0 <= self.dropout < 1, f"decoder.dropout must lie in [0, 1), got {self.dropout:g}")


@dataclass(frozen=True)
class CtcSettings:
    """CTC on the transcripts, as a second loss."""

    weight: float = 0.0  # factor of the CTC loss, which is added to the translation loss; 0: no CTC
    vocabulary_size: int = 1000  # sub-words of the transcripts, at most

    def __post_init__(self) -> None:
        require(0 <= self.weight < 1e3, f"ctc.weight must not be negative, and finite, got {self.weight:g}")
        require(self.vocabulary_size >= 1, "ctc.vocabulary_size must be at least 1")


@dataclass(frozen=True)
class SpecAugmentSettings:
    """How much SpecAugment hides. Defaults: policy LB without time warping, as in fairseq's MuST-C recipe."""

    freq_masks: int = 1
    freq_width: int = 27  # F: widest band, in mel bins
    time_masks: int = 1
    time_width: int = 100  # T: longest stretch, in frames
    time_share: float = 1.0  # p: a stretch covers at most this share of the utterance

    def __post_init__(self) -> None:
        require(
            min(self.freq_masks, self.freq_width, self.time_masks, self.time_width) >= 0,
            "specaugment's numbers must not be negative",
        )
        require(0 <= self.time_share <= 1, "specaugment.time_share must lie between 0 and 1")


@dataclass(frozen=True)
class SearchSettings:
    """Beam search."""

    beam: int = 5  # hypotheses per utterance; 1 is greedy
    length_penalty: float = 1.0  # scores are divided by the length to this power
    max_tokens: int = 200  # longest text, in sub-words

    def __post_init__(self) -> None:
        require(min(self.beam, self.max_tokens) >= 1, "the beam and the longest text must be at least 1")
        require(
            -10 <= self.length_penalty <= 10, f"a length penalty lies between -10 and 10, got {self.length_penalty:g}"
        )


@dataclass(frozen=True)
class MidtrainSettings(TrainSettings):
    """All settings of a stage-2 run."""

    target_lang: str | None = None  # language to translate into; must be set when a run starts
    init: str = "none"  # a stage-1 run folder or encoder.pt; none: a fresh encoder
    preset: str = "base"  # sizes of a fresh encoder
    freeze_encoder_steps: int = 0  # updates at the start that train the decoder alone
    label_smoothing: float = 0.1
    export: str = "average"
    keep_checkpoints: int = 10  # the exported encoder is the mean of so many
    data: DataSettings = field(default_factory=DataSettings)
    decoder: DecoderSettings = field(default_factory=DecoderSettings)
    ctc: CtcSettings = field(default_factory=CtcSettings)
    specaugment: SpecAugmentSettings = field(default_factory=SpecAugmentSettings)
    speeds: tuple[float, ...] = ()  # of training speech, drawn for each segment and epoch, such as [0.9, 1.0, 1.1]

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.label_smoothing < 1, f"label_smoothing must lie in [0, 1), got {self.label_smoothing:g}")
        require(
            self.optim.base_lr is None, "optim.base_lr is for stage 1, which counts an update in clips; set optim.lr"
        )
        require(self.freeze_encoder_steps >= 0, "freeze_encoder_steps must not be negative")
        require_preset(self.preset)
        require(all(0.5 <= speed <= 2 for speed in self.speeds), "speeds must lie between 0.5 and 2")

    @property
    def language(self) -> str:
        """The target language, once a run has set it (see read_settings in run.py)."""
        assert self.target_lang is not None
        return self.target_lang
