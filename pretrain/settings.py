"""Settings of stage 1, stored in a run's config.yaml, which is enough to repeat it. Imports no torch."""

import math
from dataclasses import dataclass, field

from mmpt.training.settings import (
    TrainSettings,
    require,
    require_one_of,
    require_preset,
    require_share,
    require_workers,
)

OBJECTIVES = {"clr": ("clr",), "mae": ("audio", "video"), "mae+clr": ("audio", "video", "clr")}  # and their losses


@dataclass(frozen=True)
class DataSettings:
    """Which clips, and how they are read."""

    manifest: str | None = None  # a manifest, or a folder of shards; None: the sample clips
    sets: tuple[str, ...] = ()  # training takes the clips of these sets alone; none named: all. Dev stays as it is
    sound: str = "clip"  # all of a clip's sound, up to 10 s; or pictures: the stretch that the pictures cover
    batch_size: int = 64  # clips of an update, over all GPUs
    workers: int = 4  # processes that decode clips, for each GPU
    decode: str = "cpu"  # who decodes the pictures of shards: the workers; or gpu: torchvision on the GPU
    memory_gb: float = 0.0  # of decoded clips kept in memory, for training and dev each; needs workers=0
    max_bad_share: float = 0.05  # the run stops if a larger share of the clips cannot be read
    dev_clips: int = 1000  # held-out clips of a validation, at most; always the same ones

    def __post_init__(self):
        require(
            self.batch_size >= 2, "data.batch_size must be at least 2: a clip's negatives are the others of its batch"
        )
        require_workers(self.workers)
        require(0 <= self.memory_gb < math.inf, "data.memory_gb must not be negative, and must be finite")
        require_share("data.max_bad_share", self.max_bad_share)
        require(
            not (self.workers and self.memory_gb), "data.memory_gb keeps clips in this process: it needs data.workers=0"
        )
        require_one_of("data.sound", self.sound, "clip", "pictures")
        require_one_of("data.decode", self.decode, "cpu", "gpu")
        require(
            not (self.decode == "gpu" and self.memory_gb),
            "data.decode=gpu keeps no decoded pictures: it needs data.memory_gb=0",
        )
        require(self.dev_clips >= 2, "data.dev_clips must be at least 2")


@dataclass(frozen=True)
class VideoSettings:
    """The pictures and their encoder; defaults are ViT-B on 16 pictures of 224 pixels with tubelets of 2 x 16 x 16."""

    size: int = 224  # side of a picture, in pixels
    frames: int = 16  # pictures of a clip
    stride: int = 4  # every which picture of the file is taken
    crop_min: float = 0.5  # smallest share of the area that a random crop keeps
    patch: int = 16  # side of a tubelet, in pixels
    tubelet: int = 2  # pictures of a tubelet
    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12
    contrast: str = "pictures"  # what contrastive learning sees; or motion: changes alone (see tubelets.motion_of)
    pool: str = "mean"  # how it reduces the tubelets of a time to one; or attention: a learned query weighs them

    def __post_init__(self):
        sizes = (self.size, self.frames, self.stride, self.patch, self.tubelet)
        require(
            min(*sizes, self.d_model, self.n_layers, self.n_heads) >= 1,
            "video.size, frames, stride, patch, tubelet, d_model, n_layers and n_heads must be at least 1",
        )
        self._require_multiple("size", "patch")
        self._require_multiple("frames", "tubelet")
        self._require_multiple("d_model", "n_heads")
        require_one_of("video.contrast", self.contrast, "pictures", "motion")
        require_one_of("video.pool", self.pool, "mean", "attention")
        require(0 < self.crop_min <= 1, f"video.crop_min must lie in (0, 1], got {self.crop_min}")

    def _require_multiple(self, name: str, of: str) -> None:
        value, unit = getattr(self, name), getattr(self, of)
        require(value % unit == 0, f"video.{name} ({value}) must be a multiple of video.{of} ({unit})")

    @property
    def times(self) -> int:
        """Tubelets of a clip in time."""
        return self.frames // self.tubelet

    @property
    def places(self) -> int:
        """Tubelets of a clip in space."""
        return (self.size // self.patch) ** 2

    @property
    def tokens(self) -> int:
        """Tubelets of a clip, in time and space."""
        return self.times * self.places

    @property
    def pixels(self) -> int:
        """Numbers in a tubelet."""
        return 3 * self.tubelet * self.patch**2


@dataclass(frozen=True)
class MaskedSettings:
    """Masked reconstruction: what the paper gives, and what it leaves open."""

    audio_share: float = 0.6  # of the tokens that are masked
    video_share: float = 0.6
    audio_mask: str = "drop"  # masked tokens are not encoded; or zero: encoded as zeros
    audio_mask_at: str = "tokens"  # or features: also zeroed under masked tokens before the convolutions
    loss_on: str = "masked"  # or all tokens
    normalise_pixels: bool = False  # each tubelet's target by its own mean and variance
    clr_sees: str = "everything"  # in mae+clr: a second pass without masks; or masked: the masked encodings, cheaper
    decoder_width: int = 512
    decoder_layers: int = 4
    decoder_heads: int = 16

    def __post_init__(self):
        for name in ("audio_share", "video_share"):
            require(0 <= getattr(self, name) < 1, f"masked.{name} must lie in [0, 1), got {getattr(self, name)}")
        require_one_of("masked.audio_mask", self.audio_mask, "drop", "zero")
        require_one_of("masked.audio_mask_at", self.audio_mask_at, "tokens", "features")
        require_one_of("masked.loss_on", self.loss_on, "masked", "all")
        require_one_of("masked.clr_sees", self.clr_sees, "everything", "masked")
        require(
            self.loss_on == "all" or min(self.audio_share, self.video_share) > 0,
            "masked.loss_on=masked needs shares above 0",
        )
        require(
            min(self.decoder_width, self.decoder_layers, self.decoder_heads) >= 1
            and self.decoder_width % self.decoder_heads == 0
            and self.decoder_width % 2 == 0,
            "masked.decoder_width must be even and a multiple of masked.decoder_heads, all at least 1",
        )


@dataclass(frozen=True)
class WeightSettings:
    """Factors of the losses in their sum."""

    audio: float = 1.0
    video: float = 1.0
    clr: float = 1.0

    def __post_init__(self):
        require(
            all(0 <= weight < math.inf for weight in (self.audio, self.video, self.clr)),
            "weights.audio, weights.video and weights.clr must not be negative, and must be finite",
        )


@dataclass(frozen=True)
class PretrainSettings(TrainSettings):
    """All settings of a stage-1 run."""

    objective: str = "clr"
    preset: str = "base"  # of the audio encoder
    projection: int = 256  # width of the space that contrastive learning compares in
    temperature: float = 0.07  # of InfoNCE, at the start
    temperature_learned: bool = True
    data: DataSettings = field(default_factory=DataSettings)
    video: VideoSettings = field(default_factory=VideoSettings)
    masked: MaskedSettings = field(default_factory=MaskedSettings)
    weights: WeightSettings = field(default_factory=WeightSettings)

    def __post_init__(self):
        super().__post_init__()
        require_preset(self.preset)
        require(
            self.projection >= 1 and 0.01 <= self.temperature <= 100,
            "projection must be at least 1, temperature lie in [0.01, 100]",
        )
        require(self.objective in OBJECTIVES, f"objective must be one of {', '.join(OBJECTIVES)}, got {self.objective}")
        require(
            any(getattr(self.weights, name) > 0 for name in self.losses),
            f"objective {self.objective}: all of its losses have weight 0; give one of "
            f"{', '.join(f'weights.{name}' for name in self.losses)}",
        )
        pools = "clr" in self.losses and (not self.is_masked or self.masked.clr_sees == "everything")
        require(
            pools or self.video.pool == "mean",
            "video.pool=attention pools all tubelets for contrastive learning: it needs objective clr, or mae+clr with "
            "masked.clr_sees=everything",
        )

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of the losses that the objective sums: some of audio, video and clr."""
        return OBJECTIVES[self.objective]

    @property
    def is_masked(self) -> bool:
        """Whether tokens are masked and reconstructed."""
        return "audio" in self.losses

    @property
    def needs_only_tubelet_means(self) -> bool:
        """Whether all that is used of the pictures is the means of their tubelets over space."""
        return not self.is_masked and self.video.pool == "mean"
