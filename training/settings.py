"""Settings of a run: frozen dataclasses filled from YAML, then from dotted overrides such as `optim.lr=1e-4`."""

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml

from mmpt.upstream.errors import InputError


@dataclass(frozen=True)
class OptimSettings:
    """AdamW and its schedule. `steps` counts updates; `lr` is reached after `warmup_steps`."""

    steps: int = 10_000
    lr: float = 1e-3
    schedule: str = "cosine"  # to zero at `steps`, or inverse_sqrt
    warmup_steps: int = 500
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.05
    clip_norm: float = 10.0
    accumulate: int = 1  # an update's batch is computed in so many parts, one after another, which take less memory

    def __post_init__(self):
        require(min(self.steps, self.accumulate) >= 1, "optim.steps and optim.accumulate must be at least 1")
        require(
            self.schedule in ("cosine", "inverse_sqrt"),
            f"optim.schedule must be cosine or inverse_sqrt, got {self.schedule}",
        )
        require(0 < self.lr < 1e3 and self.clip_norm > 0, "optim.lr and optim.clip_norm must be above 0, and finite")
        require(
            self.warmup_steps >= 0 and self.weight_decay >= 0,
            "optim.warmup_steps and optim.weight_decay must not be negative",
        )
        require(all(0 <= beta < 1 for beta in self.betas), "optim.betas must lie in [0, 1)")


@dataclass(frozen=True)
class TrainSettings:
    """What both training stages share; each stage adds its own groups."""

    seed: int = 0
    device: str = "auto"  # cuda where there is one, else cpu
    precision: str = "auto"  # bfloat16 on GPUs, float32 elsewhere
    compile: bool = False  # torch.compile of the layers that see inputs of one shape
    peak_tflops: float | None = None  # of one device in this precision, for MFU; None: known for common GPUs
    optim: OptimSettings = field(default_factory=OptimSettings)
    log_every: int = 10
    validate_every: int = 500
    patience: int = 0  # validations in a row without a better one, after which the run ends; 0: it takes optim.steps
    checkpoint_every: int = 500
    keep_checkpoints: int = 3
    export: str = "last"  # or best, average

    def __post_init__(self):
        require(0 <= self.seed < 2**63, "seed must be a whole number from 0")
        require(
            self.precision in ("auto", "float32", "bfloat16"),
            f"precision must be auto, float32 or bfloat16, got {self.precision}",
        )
        require(self.export in ("last", "best", "average"), f"export must be last, best or average, got {self.export}")
        require(self.patience >= 0, "patience must not be negative")
        require(
            min(self.log_every, self.validate_every, self.checkpoint_every, self.keep_checkpoints) >= 1,
            "log_every, validate_every, checkpoint_every and keep_checkpoints must be at least 1",
        )

    def torch_device(self, local_rank: int = 0) -> torch.device:
        """The device to train on; of several GPUs the one of this process.

        Raises:
            InputError: it is not a device, or not one of this machine's.
        """
        name = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        name = f"cuda:{local_rank}" if name == "cuda" else name
        try:
            torch.empty(1, device=name)
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"device={name} cannot be used: {str(error).splitlines()[0]}") from None
        device = torch.device(name)
        if device.type == "cuda":
            torch.cuda.set_device(device)  # what NCCL and pinned memory take for granted
        return device

    def half_precision(self, device: torch.device) -> bool:
        """Whether forward passes run in bfloat16."""
        return device.type == "cuda" if self.precision == "auto" else self.precision == "bfloat16"

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context of forward passes."""
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.half_precision(device))


Settings = typing.TypeVar("Settings", bound=TrainSettings)


def require(condition: bool, message: str) -> None:
    """Raises InputError with the message unless the condition holds."""
    if not condition:
        raise InputError(message)


def load_settings(kind: type[Settings], path: Path, overrides: list[str]) -> Settings:
    """Settings of `kind` from a YAML file and dotted overrides.

    Raises:
        InputError: no such file, unreadable YAML, an unknown key (the nearest one is offered) or a value of the wrong kind.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such config file")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: a config is a mapping of names to values")
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals or not name:
            raise InputError(f"{override}: an override looks like optim.lr=1e-4")
        group, *rest = reversed(name.split("."))
        try:
            value = {group: yaml.safe_load(text)}
        except yaml.YAMLError:
            raise InputError(f"{override}: the value is not valid YAML") from None
        for key in rest:
            value = {key: value}
        values = merge(values, value)
    return fill(kind, values, "")


def merge(under: dict, over: dict) -> dict:
    """`over` laid over `under`, group by group."""
    both = {
        k: merge(under[k], over[k])
        for k in under.keys() & over.keys()
        if isinstance(under[k], dict) and isinstance(over[k], dict)
    }
    return {**under, **over, **both}


def fill(kind: type, values: dict, prefix: str):
    """A dataclass of `kind` from a plain dictionary, each value checked against its annotation."""
    if not isinstance(values, dict):
        raise InputError(f"{prefix.rstrip('.')} is a group of settings, not a value")
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    for name in values:
        if name not in names:
            nearest = difflib.get_close_matches(str(name), names, n=1)
            raise InputError(
                f"unknown setting {prefix}{name}"
                + (f"; did you mean {prefix}{nearest[0]}?" if nearest else f"; known: {', '.join(names)}")
            )
    return kind(**{name: convert(hints[name], value, prefix + name) for name, value in values.items()})


def convert(hint, value, name: str):
    """One value as its annotation wants it."""
    if dataclasses.is_dataclass(hint):
        return fill(hint, value, name + ".")
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    wanted = next(o for o in options if o is not type(None))
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
    """Plain dictionaries and lists, as stored in run folders and checkpoints."""
    return yaml.safe_load(yaml.safe_dump(jsonable(dataclasses.asdict(settings))))


def jsonable(value):
    """Tuples to lists, all the way down."""
    if isinstance(value, dict):
        return {k: jsonable(v) for k, v in value.items()}
    return [jsonable(v) for v in value] if isinstance(value, (list, tuple)) else value
