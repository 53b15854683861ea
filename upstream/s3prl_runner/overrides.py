"""S3PRL's `-o` strings: `config.a.b=VALUE,,args.c=VALUE` (s3prl/utility/helper.py:70).

S3PRL splits the string at `,,` and each part at its only `=`. It evaluates the value as Python, and keeps it as a
string if that fails. Later parts win.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from typing import Any

from mmpt.upstream.errors import InputError

ALMOST_THE_SAME = 0.85  # of 1; what the settings lack may well be a key that S3PRL reads


def read(text: str | None) -> dict[str, str]:
    """Split an `-o` string into dotted key → value as written. None and "none", which S3PRL skips, give nothing.

    Raises:
        InputError: S3PRL could not split a part.
    """
    if text is None or text.lower() == "none":
        return {}
    pairs = [part.split("=") for part in text.split(",,")]
    for pair in pairs:
        if len(pair) != 2:
            raise InputError(f"-o: '{'='.join(pair)}' is not KEY=VALUE (',,' separates parts; a value cannot hold '=')")
    return {key.strip(): item.strip() for key, item in pairs}


def value(text: str) -> Any:
    """Evaluate a written value as S3PRL will: plain literals only, all else stays text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def merge(ours: Mapping[str, object], theirs: str | None) -> str | None:
    """Return one `-o` string with our values below the user's own, or None if there are no values.

    Our values are written as Python literals without `=` and `,,`, so that any path survives. The user's part stays as
    typed.
    """
    given = read(theirs)
    parts = [f"{key}={_literal(item)}" for key, item in ours.items() if key not in given]
    if theirs is not None and given:
        parts.append(theirs)
    return ",,".join(parts) or None


def apply(config: dict[str, Any], text: str | None) -> None:
    """Change a task's settings in place by the `config.` parts of an `-o` string, as S3PRL does.

    Raises:
        InputError: a part is neither of `config.` nor of `args.`, or its key is probably misspelt: the settings have
            one that is almost the same.
    """
    for key, written in read(text).items():
        section, *path = key.split(".")
        if section not in ("config", "args") or not path:
            raise InputError(f"-o {key}: not config.KEY or args.KEY")
        if section == "config":
            inner = config
            for name in path[:-1]:
                inner = _checked(inner, name, key).setdefault(name, {})
            last = path[-1]
            if isinstance(_checked(inner, last, key).get(last), dict):
                raise InputError(f"-o {key}: these are several settings ({', '.join(inner[last])}); name one")
            inner[last] = value(written)


def _checked(settings: Any, name: str, key: str) -> dict[str, Any]:
    """Return the settings among which a part of a key is looked for."""
    if not isinstance(settings, dict):
        raise InputError(f"-o {key}: '{name}' lies under a single setting")
    near = difflib.get_close_matches(name, map(str, settings), n=1, cutoff=ALMOST_THE_SAME)
    if name not in settings and near:
        raise InputError(f"-o {key}: there is no '{name}'; did you mean {near[0]}?")
    return settings


def _literal(item: object) -> str:
    return repr(item).replace("=", "\\x3d").replace(",,", ",\\x2c")
