"""What cannot be read of a run's data: stepped over, listed in RUN/skipped.jsonl, and too much of it ends the run."""

import json

from mmpt.training.run_folder import RunFolder
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text


class Unreadable:
    """The clips or segments, by id, that some rank could not read, each with its reason.

    Args:
        items: how many clips or segments there are; max_share: of them may be unreadable.
        unit: what they are called, in the plural.
    """

    def __init__(self, folder: RunFolder, items: int, max_share: float, unit: str):
        self.folder, self.items, self.max_share, self.unit = folder, items, max_share, unit
        self.file = folder.path / "skipped.jsonl"
        self.listed: dict[str, str] = {}
        self.news: list[tuple[str, str]] = []  # of this rank

    def __contains__(self, name: str) -> bool:
        return name in self.listed

    def start(self) -> None:
        """Takes up a resumed run's list, once the run folder is prepared."""
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.is_file() else []
        whole = [line for line in lines if is_json(line)]  # the last one may have been cut by a kill
        self.listed = {entry["id"]: entry["reason"] for entry in map(json.loads, whole)}
        if self.folder.writes and whole != lines:
            write_text(self.file, "".join(line + "\n" for line in whole))

    def meet(self, entries: list[tuple[str, str]]) -> None:
        """Remembers (id, reason) of what this rank could not read, until all ranks are told."""
        self.news += entries

    def take(self) -> list[tuple[str, str]]:
        """What this rank could not read since it was last asked."""
        news, self.news = self.news, []
        return news

    def note(self, entries: list[tuple[str, str]]) -> None:
        """Lists what some rank could not read.

        Raises:
            InputError: there is too much of it.
        """
        fresh = {name: reason for name, reason in entries if name not in self.listed}
        self.listed |= fresh
        if fresh and self.folder.writes:
            with self.file.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps({"id": name, "reason": reason}) + "\n" for name, reason in fresh.items())
        if len(self.listed) > self.max_share * self.items:
            raise InputError(
                f"{len(self.listed)} {self.unit} cannot be read, more than data.max_bad_share={self.max_share:g} "
                f"of all; the last: {next(reversed(self.listed.items()))}; see {self.file}"
            )


def is_json(line: str) -> bool:
    """Whether a line is whole."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
