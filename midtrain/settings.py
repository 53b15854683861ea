"""Settings of stage 2: a run folder's config.yaml is enough to repeat a run."""

from dataclasses import dataclass, field

from mmpt.midtrain.ctc import CtcSettings
from mmpt.midtrain.decoder import DecoderSettings
from mmpt.midtrain.specaugment import SpecAugmentSettings
from mmpt.training.settings import TrainSettings, require
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import EncoderConfig


@dataclass(frozen=True)
class DataSettings:
    """Which corpus, and how it is read."""

    root: str | None = (
        None  # MuST-C as published, or a folder that scripts/prepare/must_c.py made; None: the built samples
    )
    batch_frames: int = 40_000  # frames of speech (10 ms) of an update, all utterances together, over all GPUs
    max_frames: int = 3000  # longer training segments are dropped
    vocabulary_size: int = 8000  # sub-words of the translations, at most
    workers: int = 4  # processes that read, for each GPU
    max_bad_share: float = 0.05  # of training segments that cannot be read, before the run stops

    def __post_init__(self):
        require(
            min(self.batch_frames, self.max_frames, self.vocabulary_size) >= 1,
            "data.batch_frames, data.max_frames and data.vocabulary_size must be at least 1",
        )
        require(self.workers >= 0, "data.workers must not be negative")


@dataclass(frozen=True)
class MidtrainSettings(TrainSettings):
    """Everything about a stage-2 run."""

    target_lang: str | None = None
    init: str = "none"  # a stage-1 run folder or encoder.pt; none: a fresh encoder
    preset: str = "base"  # sizes of a fresh encoder
    freeze_encoder_steps: int = 0  # updates at the start that train the decoder alone
    label_smoothing: float = 0.1
    export: str = "average"
    keep_checkpoints: int = 10  # and the encoder is the mean of these
    data: DataSettings = field(default_factory=DataSettings)
    decoder: DecoderSettings = field(default_factory=DecoderSettings)
    ctc: CtcSettings = field(default_factory=CtcSettings)
    specaugment: SpecAugmentSettings = field(default_factory=SpecAugmentSettings)

    def __post_init__(self):
        super().__post_init__()
        require(0 <= self.label_smoothing < 1, f"label_smoothing must lie in [0, 1), got {self.label_smoothing:g}")
        require(self.freeze_encoder_steps >= 0, "freeze_encoder_steps must not be negative")
        try:
            EncoderConfig.preset(self.preset)
        except ValueError as error:
            raise InputError(f"preset: {error}") from None
