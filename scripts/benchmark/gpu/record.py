"""What a check has measured: gpu.json, rewritten whole after each part, so that a kill loses nothing."""

import json
import math
from pathlib import Path
from typing import Any

from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text

Figures = dict[str, Any]  # numbers, texts, and lists or dictionaries of them
SAME = ("card", "commit", "torch", "small")  # what two calls must share for one file to hold the figures of both


class Record:
    """The figures by item and part, and why the other parts did not run.

    Args:
        file: gpu.json. If it is there, its figures are kept.
        about: the machine and the software.
        parts: all that a check has, as (item, part).

    Raises:
        InputError: the file is of another card or commit, or is damaged.
    """

    def __init__(self, file: Path, about: Figures, parts: list[tuple[str, str]]):
        self.file, self.about = file, about
        self.items: dict[str, dict[str, Figures]] = {}
        if file.is_file():
            self.take_over()
        self.not_run = {f"{item}.{part}": "not reached" for item, part in parts if part not in self.items.get(item, {})}

    def take_over(self) -> None:
        """Read the figures of an earlier call."""
        try:
            old = json.loads(self.file.read_text(encoding="utf-8"))
            about, self.items = old["about"], old["items"]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{self.file}: is damaged or no record of this command; name another folder") from None
        for name in SAME:
            if about.get(name) != self.about[name]:
                raise InputError(
                    f"{self.file}: has figures of {name} {about.get(name)}, this is {self.about[name]}; "
                    "name another folder with --out"
                )

    def add(self, item: str, part: str, figures: Figures) -> None:
        """Add a part's figures."""
        self.items.setdefault(item, {})[part] = figures
        self.not_run.pop(f"{item}.{part}", None)
        self.write()

    def leave_out(self, item: str, part: str, reason: str) -> None:
        """Note why a part has no figures; those of an earlier call stay."""
        if part not in self.items.get(item, {}):
            self.not_run[f"{item}.{part}"] = reason
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all."""
        content = {"about": self.about, "items": self.items, "not_run": self.not_run}
        write_text(self.file, json.dumps(plain(content), indent=1) + "\n")


def plain(value: Any) -> Any:
    """Return nested values as JSON has them: numbers that are not finite become texts."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
