"""The mmpt_av speech encoder: self-contained, needs torch alone; the folder can be copied into another project.

`from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, load_encoder`. Names are imported at first use, so that
commands can read presets and answer `--help` without loading torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .checkpoint import load_encoder, save_encoder
    from .config import EncoderConfig
    from .encoder import Encoder, EncoderOutput
    from .errors import CheckpointError

__all__ = ["CheckpointError", "Encoder", "EncoderConfig", "EncoderOutput", "load_encoder", "save_encoder"]

_MODULES = {
    "CheckpointError": "errors",
    "Encoder": "encoder",
    "EncoderConfig": "config",
    "EncoderOutput": "encoder",
    "load_encoder": "checkpoint",
    "save_encoder": "checkpoint",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value
