"""Training items that cannot be read: skipped, listed in RUN/skipped.jsonl, and an error if there are too many."""

import json

from mmpt.training.run_folder import RunFolder
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text


class SkippedItems:
    """The clips or segments, by id, that some rank could not read, each with its reason.

    Each rank records what it could not read; at each update all ranks exchange new entries and add them to the list.

    Args:
        folder: of the run.
        items: number of clips or segments.
        max_share: the largest share of them that may be skipped.
        unit: their name in the plural.
    """

    def __init__(self, folder: RunFolder, items: int, max_share: float, unit: str):
        self.folder, self.items, self.max_share, self.unit = folder, items, max_share, unit
        self.file = folder.path / "skipped.jsonl"
        self.reasons: dict[str, str] = {}
        self.recorded: list[tuple[str, str]] = []  # by this rank, not exchanged yet

    def __contains__(self, name: str) -> bool:
        return name in self.reasons

    def load(self) -> None:
        """Read the list of a resumed run; call this once the run folder is prepared."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.is_file() else []
        whole = [line for line in lines if is_json(line)]  # a kill may have cut the last one
        self.reasons = {entry["id"]: entry["reason"] for entry in map(json.loads, whole)}
        if self.folder.writes and whole != lines:
            write_text(self.file, "".join(line + "\n" for line in whole))

    def record(self, entries: list[tuple[str, str]]) -> None:
        """Record (id, reason) of items that this rank could not read."""
        self.recorded += entries

    def drain(self) -> list[tuple[str, str]]:
        """Return what this rank has recorded since the last call."""
        recorded, self.recorded = self.recorded, []
        return recorded

    def add(self, entries: list[tuple[str, str]]) -> None:
        """Add entries of all ranks to the list and the file; an item that is listed already stays as it is.

        Raises:
            InputError: too large a share of the items is skipped.
        """
        new = {name: reason for name, reason in entries if name not in self.reasons}
        self.reasons |= new
        if new and self.folder.writes:
            with self.file.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps({"id": name, "reason": reason}) + "\n" for name, reason in new.items())
        if len(self.reasons) > self.max_share * self.items:
            raise InputError(
                f"{len(self.reasons)} {self.unit} cannot be read, more than data.max_bad_share={self.max_share:g} "
                f"of all; the last: {': '.join(next(reversed(self.reasons.items())))}; see {self.file}"
            )


def is_json(line: str) -> bool:
    """Return True if a line is whole JSON."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
