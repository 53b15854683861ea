"""Settings of a run: frozen dataclasses filled from YAML, then from dotted overrides such as `optim.lr=1e-4`.

This module and each stage's `settings.py` do not import torch: a command reads its settings before it loads torch.
Nor do they import YAML until they read some: --help needs no library.
"""

import dataclasses
import math
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import EncoderConfig
from mmpt.upstream.nearest import did_you_mean

# Settings of `optim` that can be given in another way; in a run that has started, the other is None (see lengths.py).
ALTERNATIVES = {"steps": "epochs", "lr": "base_lr", "warmup_steps": "warmup_epochs"}

MOST_WORKERS = 512  # each is a process of some 0.3 GB


@dataclass(frozen=True)
class OptimSettings:
    """AdamW and its schedule. `steps` counts updates; `lr` is reached after `warmup_steps`."""

    steps: int = 10_000
    epochs: float | None = None  # in place of `steps`: how often the training data are passed through
    lr: float = 1e-3
    base_lr: float | None = None  # in place of `lr`, in stage 1: lr = base_lr * data.batch_size / 256, as in MAE
    schedule: str = "cosine"  # to zero at `steps`; or inverse_sqrt
    warmup_steps: int = 500
    warmup_epochs: float | None = None  # in place of `warmup_steps`
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.05
    clip_norm: float = 10.0
    accumulate: int = 1  # micro-batches of an update, computed one after another to save memory
    checkpoint_blocks: bool = False  # whether blocks compute their activations again in the backward pass: saves memory

    def __post_init__(self):
        require(min(self.steps, self.accumulate) >= 1, "optim.steps and optim.accumulate must be at least 1")
        require_one_of("optim.schedule", self.schedule, "cosine", "inverse_sqrt")
        require(0 < self.lr < 1e3 and self.clip_norm > 0, "optim.lr and optim.clip_norm must be above 0, and finite")
        require(self.base_lr is None or 0 < self.base_lr < 1e3, "optim.base_lr must be above 0, and finite")
        require(
            (self.epochs is None or 0 < self.epochs < 1e9) and 0 <= (self.warmup_epochs or 0) < 1e9,
            "optim.epochs must be above 0, optim.warmup_epochs not negative, and both finite",
        )
        require(
            self.warmup_steps >= 0 and 0 <= self.weight_decay < math.inf,
            "optim.warmup_steps and optim.weight_decay must not be negative, and must be finite",
        )
        require(all(0 <= beta < 1 for beta in self.betas), "optim.betas must lie in [0, 1)")


@dataclass(frozen=True)
class TrainSettings:
    """What both training stages share; each stage adds its own groups."""

    seed: int = 0
    device: str = "auto"  # cuda if available, else cpu
    precision: str = "auto"  # bfloat16 on GPUs that have it, float32 elsewhere
    compile: bool = False  # torch.compile of whole blocks, at the start of training
    peak_tflops: float | None = None  # of one device in this precision, for MFU; None: looked up for common GPUs
    optim: OptimSettings = field(default_factory=OptimSettings)
    log_every: int = 10
    validate_every: int = 500
    patience: int = 0  # the run ends after so many validations in a row without a better one; 0: it never ends early
    checkpoint_every: int = 500
    keep_checkpoints: int = 3
    export: str = "last"  # or best, or average: the last keep_checkpoints; in a run with patience, up to the best one

    def __post_init__(self):
        require(0 <= self.seed < 2**63, "seed must be a whole number from 0")
        require_one_of("precision", self.precision, "auto", "float32", "bfloat16")
        require_one_of("export", self.export, "last", "best", "average")
        require(self.patience >= 0, "patience must not be negative")
        require(self.peak_tflops is None or 0 < self.peak_tflops < math.inf, "peak_tflops must be above 0, and finite")
        require(
            min(self.log_every, self.validate_every, self.checkpoint_every, self.keep_checkpoints) >= 1,
            "log_every, validate_every, checkpoint_every and keep_checkpoints must be at least 1",
        )


Settings = typing.TypeVar("Settings", bound=TrainSettings)
Kind = typing.TypeVar("Kind")


def require(condition: bool, message: str) -> None:
    """Raise InputError with the message unless the condition holds."""
    if not condition:
        raise InputError(message)


def require_one_of(name: str, value: str, *allowed: str) -> None:
    """Raise InputError unless the setting `name` has one of the allowed values."""
    *first, last = allowed
    require(value in allowed, f"{name} must be {', '.join(first)} or {last}, got {value}")


def require_share(name: str, value: float) -> None:
    """Raise InputError unless the setting `name` is a share, from 0 to 1."""
    require(0 <= value <= 1, f"{name} must lie between 0 and 1, got {value:g}")


def require_workers(number: int) -> None:
    """Raise InputError unless so many processes may read batches."""
    require(0 <= number <= MOST_WORKERS, f"data.workers must lie between 0 and {MOST_WORKERS}, got {number}")


def require_preset(name: str) -> None:
    """Raise InputError unless the encoder has a preset of this name."""
    try:
        EncoderConfig.preset(name)
    except ValueError as error:
        raise InputError(f"preset: {error}") from None


def load_settings(kind: type[Settings], path: Path, overrides: list[str]) -> Settings:
    """Return settings of `kind` from a YAML file and dotted overrides.

    Raises:
        InputError: the file is missing or is not valid YAML; a key is unknown (the error offers the nearest one); a
            value is of the wrong kind or out of range.
    """
    import yaml

    if not path.is_file():
        raise InputError(f"{path}: no such config file")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: a config is a mapping of names to values")
    for name, other in ALTERNATIVES.items():
        require(
            not is_given(values, name) or not is_given(values, other),
            f"{path}: give optim.{name} or optim.{other}, not both",
        )
    for override in overrides:
        over = parse_override(override)
        values = merge(without_alternatives(values, over), over)
    return from_plain(kind, values)


def is_given(values: dict, name: str) -> bool:
    """Return True if nested values have a setting of this name in their group `optim`, and it is not null."""
    optim = values.get("optim")
    return isinstance(optim, dict) and optim.get(name) is not None


def without_alternatives(values: dict, over: dict) -> dict:
    """Return values without the settings that `over` gives in another way: optim.base_lr replaces optim.lr."""
    pairs = [*ALTERNATIVES.items(), *((other, name) for name, other in ALTERNATIVES.items())]
    replaced = {name for name, other in pairs if is_given(over, other)}
    if not replaced or not isinstance(values.get("optim"), dict):
        return values
    return {**values, "optim": {name: value for name, value in values["optim"].items() if name not in replaced}}


def parse_override(override: str) -> dict:
    """Return `optim.lr=1e-4` as nested dictionaries."""
    import yaml

    name, equals, text = override.partition("=")
    if not equals or not all(name.split(".")):
        raise InputError(f"{override}: an override looks like optim.lr=1e-4")
    last, *groups = reversed(name.split("."))
    try:
        values = {last: yaml.safe_load(text)}
    except yaml.YAMLError:
        raise InputError(f"{override}: the value is not valid YAML") from None
    for group in groups:
        values = {group: values}
    return values


def merge(under: dict, over: dict) -> dict:
    """Return `under` with the values of `over` in their place, group by group."""
    both = {
        k: merge(under[k], over[k])
        for k in under.keys() & over.keys()
        if isinstance(under[k], dict) and isinstance(over[k], dict)
    }
    return {**under, **over, **both}


def from_plain(kind: type[Kind], values: dict, prefix: str = "") -> Kind:
    """Return a dataclass of `kind` from a plain dictionary; check each value against its annotation.

    `prefix` stands before the names in errors, such as `optim.`.
    """
    if not isinstance(values, dict):
        raise InputError(f"{prefix.rstrip('.')} is a group of settings, not a value")
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]  # a dataclass
    for name in values:
        if name not in names:
            group = next((field for field in names if name in names_of(hints[field])), None)
            hint = f"did you mean {prefix}{group}.{name}?" if group else did_you_mean(name, names, prefix=prefix)
            raise InputError(f"unknown setting {prefix}{name}; {hint}")
    return kind(**{name: convert(hints[name], value, prefix + name) for name, value in values.items()})


def names_of(hint: typing.Any) -> list[str]:
    """Return the names of a group of settings; nothing for a single setting."""
    return [f.name for f in dataclasses.fields(hint)] if dataclasses.is_dataclass(hint) else []


def convert(hint: typing.Any, value: typing.Any, name: str) -> typing.Any:
    """Return a value in the form that its annotation asks for (InputError if it does not fit)."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    wanted = next(o for o in options if o is not type(None))
    if dataclasses.is_dataclass(wanted):
        return from_plain(typing.cast(type, wanted), value, name + ".")
    if typing.get_origin(wanted) is tuple:
        inner = typing.get_args(wanted)
        if isinstance(value, (list, tuple)) and (Ellipsis in inner or len(inner) == len(value)):
            return tuple(convert(inner[0], item, name) for item in value)
    elif wanted is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-4 as a string
        except ValueError:
            pass
    elif type(value) is wanted:
        return value
    expected = getattr(wanted, "__name__", str(wanted)) if typing.get_origin(wanted) is None else str(wanted)
    raise InputError(f"{name} must be of kind {expected}, got {value!r}")


def to_plain(settings: TrainSettings) -> dict:
    """Return settings as plain dictionaries and lists, which run folders and checkpoints store."""
    return lists_for_tuples(dataclasses.asdict(settings))


def lists_for_tuples(value: typing.Any) -> typing.Any:
    """Return nested values with lists in place of tuples."""
    if isinstance(value, dict):
        return {k: lists_for_tuples(v) for k, v in value.items()}
    return [lists_for_tuples(v) for v in value] if isinstance(value, (list, tuple)) else value
