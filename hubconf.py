"""Entries for torch.hub, from this clone and with torch alone, whether mmpt-av is installed or not.

`torch.hub.load("path/to/clone", "mmpt_av", "encoder.pt", source="local")`
"""

import hashlib as _hashlib
import importlib as _importlib
import importlib.util as _util
import sys as _sys
from pathlib import Path as _Path

dependencies = ["torch"]


def mmpt_av(ckpt=None, frame_hop=None):
    """Load a trained encoder, in evaluation mode.

    Args:
        ckpt: path of an encoder checkpoint; default: $MMPT_AV_CKPT.
        frame_hop: samples under one state, 640 or 320; default: the checkpoint's.

    Examples:
        >>> encoder = torch.hub.load("path/to/clone", "mmpt_av", "encoder.pt", source="local")
        >>> out = encoder([torch.randn(16000), torch.randn(48000)])  # 16 kHz, in [-1, 1], any length
        >>> out.hidden_states[-1].shape, out.lengths
    """
    checkpoint = _importlib.import_module(".checkpoint", _package())
    encoder = checkpoint.load_encoder(checkpoint.named_checkpoint(ckpt))
    encoder.hop = frame_hop or encoder.hop
    return encoder


def mmpt_av_untrained(preset="base"):
    """Build an untrained encoder, in evaluation mode, of the size "base" (the paper's), "compact" or "tiny"."""
    package = _importlib.import_module(_package())
    return package.Encoder(package.EncoderConfig.preset(preset)).eval()


def _package():
    """Import this clone's folder of the encoder under a name of its own; return the name."""
    folder = _Path(__file__).resolve().parent / "upstream" / "mmpt_av"
    name = f"mmpt_av_{_hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    if name not in _sys.modules:
        spec = _util.spec_from_file_location(name, folder / "__init__.py")
        _sys.modules[name] = _util.module_from_spec(spec)
        spec.loader.exec_module(_sys.modules[name])
    return name
