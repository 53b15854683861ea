"""S3PRL's `-o` strings: `config.a.b=VALUE,,args.c=VALUE` (s3prl/utility/helper.py:70).

S3PRL splits the string at `,,`, each part at its only `=`, evaluates what is right of it as Python and keeps it
as a string where that fails; later parts win.
"""

from __future__ import annotations

import ast

from mmpt.upstream.errors import InputError


def read(text: str | None) -> dict[str, str]:
    """Dotted key → value as written; empty for None and for "none", which S3PRL skips.

    Raises:
        InputError: a part that S3PRL could not take apart.
    """
    if text is None or text.lower() == "none":
        return {}
    pairs = [part.split("=") for part in text.split(",,")]
    for pair in pairs:
        if len(pair) != 2:
            raise InputError(
                f"-o: '{'='.join(pair)}' is not KEY=VALUE (parts are divided by ',,'; a value cannot hold '=')"
            )
    return {key.strip(): item.strip() for key, item in pairs}


def value(text: str):
    """A written value as S3PRL will see it, for plain literals; anything else stays text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def merge(ours: dict[str, object], theirs: str | None) -> str | None:
    """One `-o` string with our values under the user's own; None where there is nothing to say.

    Our values are written as Python literals without `=` and `,,`, so that any path survives; the user's part
    is kept as typed.
    """
    given = read(theirs)
    parts = [f"{key}={_literal(item)}" for key, item in ours.items() if key not in given]
    if given:
        parts.append(theirs)
    return ",,".join(parts) or None


def apply(config: dict, text: str | None) -> None:
    """Change a task's settings in place as S3PRL does with the `config.` parts of an `-o` string."""
    for key, written in read(text).items():
        section, *path, last = key.split(".")
        if section == "config":
            inner = config
            for name in path:
                inner = inner.setdefault(name, {})
            inner[last] = value(written)


def _literal(item: object) -> str:
    return repr(item).replace("=", "\\x3d").replace(",,", ",\\x2c")
