"""Take a folder with an `expert.py` of someone's own as an upstream of S3PRL's.

The folder holds what the leaderboard's hidden set wants: `expert.py` with `class UpstreamExpert`, called as S3PRL calls
it, `UpstreamExpert(ckpt=…, model_config=…, refresh=…)`. S3PRL's loader imports it flat, from `sys.path`
(s3prl/downstream/runner.py:123), where `from model import Net` finds FOLDER/model.py. Here `from .model import Net`
works too, as in S3PRL's own upstream folders.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.encoder_names import EXPERT


def register(folder: Path) -> None:
    """Make the folder's expert an entry of s3prl.hub, under the folder's absolute path: it hides no other entry.

    Call `repairs.apply()` first.

    Raises:
        InputError: see `load`.
    """
    import s3prl.hub

    setattr(s3prl.hub, str(folder), load(folder))


def load(folder: Path) -> Any:
    """Import the folder's `UpstreamExpert`.

    Raises:
        InputError: expert.py is missing, cannot be imported, or has no UpstreamExpert.
    """
    file = folder / EXPERT
    if not file.is_file():
        raise InputError(f"{folder}: holds no {EXPERT}")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    try:
        module = importlib.import_module(f"{_package(folder)}.expert")
    except ModuleNotFoundError as error:
        raise InputError(f"{file}: needs the module '{error.name}', which is not installed") from error
    except Exception as error:  # someone's code may raise anything
        raise InputError(f"{file}: cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(getattr(module, "UpstreamExpert", None)):
        raise InputError(f"{file}: has no class UpstreamExpert")
    return module.UpstreamExpert


def _package(folder: Path) -> str:
    """Make the folder a package, under a name that no other package has; return that name."""
    name = f"mmpt_expert_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        start = folder / "__init__.py"
        spec = importlib.util.spec_from_file_location(name, start) if start.is_file() else None
        spec = spec or importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[name] = importlib.util.module_from_spec(spec)
        if spec.loader:
            spec.loader.exec_module(sys.modules[name])
    return name
