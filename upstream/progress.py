"""Progress of long work: tqdm's bar on a terminal, a plain line every half minute in a log."""

import sys
import time
from typing import Any

from tqdm import tqdm

LINE_EVERY_S = 30.0


class Progress(tqdm):
    """tqdm, except that an output that is no terminal gets whole lines: no bar is redrawn there.

    A line has what is done, how many of how many, the rate since the start and the time left. The first comes after
    half a minute, the last at the end unless `leave` is False. `write` prints a line on either kind of output.
    """

    initial: float
    last_print_n: float

    def __init__(self, *args: Any, **options: Any):
        file = options.get("file") or sys.stderr
        self.is_plain = not (hasattr(file, "isatty") and file.isatty())
        if self.is_plain:
            # No first drawing, and a look at the clock after each item: a guess how many to skip can be far off.
            options |= {"mininterval": LINE_EVERY_S, "maxinterval": 0, "miniters": 1, "delay": LINE_EVERY_S}
        self.last_line = time.monotonic()
        super().__init__(*args, **options)

    def refresh(self, *args: Any, **options: Any) -> None:
        """Redraw the bar; in a log, write a line if the last one is half a minute old."""
        if not self.is_plain:
            super().refresh(*args, **options)
        elif not self.disable and time.monotonic() - self.last_line >= self.mininterval:
            self.write_line()

    def clear(self, *args: Any, **options: Any) -> None:
        """Clear the bar, so that another line can be printed; in a log there is none."""
        if not self.is_plain:
            super().clear(*args, **options)

    def close(self) -> None:
        """End the bar; in a log, write the last line."""
        if self.is_plain and not getattr(self, "disable", True):
            if self.leave:
                self.write_line()
            self.sp = None  # tqdm then draws nothing when it closes
        super().close()

    def write_line(self) -> None:
        """Write where the work stands."""
        self.last_line = time.monotonic()
        print(self.line(), file=self.fp, flush=True)

    def line(self) -> str:
        """Return where the work stands, such as "train: step 120 of 600 (20 %), 3.1 step/s, 02:35 left, loss 3.2"."""
        elapsed, done = time.time() - self.start_t, self.n - self.initial
        unit = "" if self.unit == "it" else f"{self.unit} "
        start = f"{self.desc}: " if self.desc else ""
        parts = [f"{start}{unit}{self.n:,.0f}"]
        if self.total:
            parts[0] += f" of {self.total:,.0f} ({self.n / self.total:.0%})".replace("%", " %")
        if done > 0 and elapsed > 0:
            rate = done / elapsed
            parts.append(f"{rate:.3g} {self.unit}/s" if rate >= 1 else f"{1 / rate:.3g} s/{self.unit}")
            if self.total and self.n < self.total:
                parts.append(f"{self.format_interval((self.total - self.n) / rate)} left")
        parts.append(f"after {self.format_interval(elapsed)}")
        return ", ".join([*parts, self.postfix] if self.postfix else parts)
