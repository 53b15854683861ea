"""The hint that an error about an unknown name ends with."""

import difflib
from collections.abc import Iterable


def did_you_mean(
    name: object, known: Iterable[str], *, prefix: str = "", most: int = 1, otherwise: str | None = None
) -> str:
    """Return "did you mean X?" with the known names nearest to a mistyped one, each once.

    Args:
        name: what was typed.
        known: the names that would have been right.
        prefix: stands before each name that is offered, such as `optim.` before `lr`.
        most: offer at most so many names, joined by "or".
        otherwise: returned if no known name is near; by default "known are" and all of them.
    """
    known = list(dict.fromkeys(known))
    nearest = difflib.get_close_matches(str(name), known, most)
    if nearest:
        return f"did you mean {' or '.join(prefix + one for one in nearest)}?"
    return otherwise or f"known are {', '.join(known)}"
