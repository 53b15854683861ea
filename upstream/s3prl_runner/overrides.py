"""S3PRL's `-o` strings: `config.a.b=VALUE,,args.c=VALUE` (s3prl/utility/helper.py:70).

S3PRL splits the string at `,,` and each part at its only `=`. It evaluates the value as Python, and keeps it as a
string if that fails. Later parts win.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from mmpt.upstream.errors import InputError


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
    """Change a task's settings in place by the `config.` parts of an `-o` string, as S3PRL does."""
    for key, written in read(text).items():
        section, *path, last = key.split(".")
        if section == "config":
            inner = config
            for name in path:
                inner = inner.setdefault(name, {})
            inner[last] = value(written)


def _literal(item: object) -> str:
    return repr(item).replace("=", "\\x3d").replace(",,", ",\\x2c")
