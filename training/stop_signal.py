"""SIGTERM and Ctrl-C, remembered until the loop has saved."""

import signal


class StopSignal:
    """Remembers SIGTERM and Ctrl-C so that the loop can save first; a second Ctrl-C ends at once."""

    def __enter__(self) -> "StopSignal":
        self.received = 0
        self.before = {number: signal.signal(number, self.receive) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def receive(self, number: int, frame) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = number

    def __exit__(self, *error) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def leave_signals_to_parent(worker: int) -> None:
    """For a process that reads batches: under torchrun SIGTERM reaches all of them, and batches are wanted until the run has saved."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
