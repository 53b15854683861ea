"""S3PRL's progress bars: as they are on a terminal, a plain line every half minute in a log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from mmpt.upstream.progress import Progress
from mmpt.upstream.s3prl_runner.printed import STEP_FILE

STEP_EVERY_S = 0.5


class RunnerProgress(Progress):
    """A bar of S3PRL's runner. In a log, the one of the whole training also keeps its step in a file.

    Whoever follows a job from outside reads the file, as lines of the log come every half minute only. `folder` is the
    experiment's, or None if no file is wanted.
    """

    folder: Path | None = None

    def __init__(self, *args: Any, desc: str | None = None, **options: Any):
        self.is_overall = desc == "overall"  # the others begin again with each epoch, some after less than a second
        self.is_first_update = True
        self.step_written = 0.0
        super().__init__(*args, desc=desc, **options)
        if self.is_plain and not self.is_overall:
            self.leave = False

    def update(self, n: float | None = 1) -> bool | None:
        """Advance by `n`; S3PRL sets the step of a resumed training without a word."""
        if self.is_first_update and self.is_overall:
            self.initial = self.last_print_n = self.n
        self.is_first_update = False
        shown = super().update(n)
        if self.is_overall and self.is_plain and self.folder is not None:
            self.keep_step(self.folder / STEP_FILE)
        return shown

    def keep_step(self, file: Path) -> None:
        """Write the step, at most twice a second. A reader may meet an empty file for an instant."""
        if time.monotonic() - self.step_written >= STEP_EVERY_S or self.n >= self.total:
            self.step_written = time.monotonic()
            file.write_text(f"{self.n}\n", encoding="utf-8")


def install() -> None:
    """Give S3PRL's runner these bars. Serves s3prl/downstream/runner.py:261, :286 and :464, and asr/dataset.py:88."""
    import s3prl.downstream.asr.dataset as dataset
    import s3prl.downstream.runner as runner

    runner.tqdm = dataset.tqdm = RunnerProgress
