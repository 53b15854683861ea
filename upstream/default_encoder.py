"""The encoder of a command that names none: $MMPT_AV_CKPT, the newest run's, or the one that the repository holds."""

import os
from collections.abc import Mapping
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import demo_encoder, is_clone


def default_encoder(folder: Path, environment: Mapping[str, str], flag: str) -> tuple[str, str]:
    """Return the path of an encoder checkpoint, and a line for the user: which it is, and how to name another.

    Args:
        folder: the working directory, where `runs` lies.
        environment: of this process.
        flag: of the command, that names an encoder.

    Raises:
        InputError: there is no encoder anywhere.
    """
    if named := environment.get("MMPT_AV_CKPT"):
        return named, f"encoder: {named} ($MMPT_AV_CKPT)"
    runs = folder / "runs"
    found = [file for file in runs.glob("**/encoder.pt") if _may_be_default(file)]
    if found:
        found.sort(key=lambda file: (file.stat().st_mtime_ns, str(file)))
        newest = os.path.relpath(found[-1], folder)
        return str(found[-1]), f"encoder: {newest} (the newest of {len(found)} under runs/; {flag} chooses another)"
    if demo := demo_encoder():
        card = os.path.relpath(demo.with_name("README.md"), folder)
        what = f"the small trained encoder of the repository, as there is no run here; see {card}"
        return str(demo), f"encoder: {os.path.relpath(demo, folder)} ({what}; {flag} names another)"
    nor = "" if is_clone() else ", and only a clone of the repository has a trained encoder"
    raise InputError(
        f"no encoder: give {flag} FILE or set MMPT_AV_CKPT (no run here has an encoder{nor}); "
        f"an untrained one: python scripts/export.py --untrained tiny --seed 0 --out tiny.pt, then {flag} tiny.pt"
    )


def _may_be_default(file: Path) -> bool:
    """Return True unless the encoder is untrained, or one of the many of a study, of which the last means nothing."""
    is_of_a_study = file.parent.parent.name == "encoders" and (file.parents[2] / "study.json").is_file()
    return file.parent.name != "untrained" and not is_of_a_study
