"""Import the training code where libraries are missing that noise in place of media and texts does not use."""

import sys
from importlib import import_module
from importlib.util import find_spec
from unittest.mock import MagicMock

UNUSED = (
    "av",
    "jiwer",
    "matplotlib",
    "matplotlib.pyplot",
    "sacrebleu",
    "sacrebleu.metrics",
    "sacrebleu.significance",
    "sentencepiece",
    "soundfile",
)
TRAINING = ("mmpt.pretrain.task", "mmpt.midtrain.task")


def import_training() -> None:
    """Import both stages. While they are imported, an empty stand-in takes the place of such a library."""
    missing = {name: MagicMock(name=name) for name in UNUSED if not is_installed(name.partition(".")[0])}
    sys.modules.update(missing)
    try:
        for name in TRAINING:
            import_module(name)
    finally:
        for name in missing:  # others, such as transformers, look for them too
            del sys.modules[name]


def is_installed(name: str) -> bool:
    """Return True if a library can be found."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
