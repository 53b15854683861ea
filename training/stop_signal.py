"""SIGTERM and Ctrl-C, remembered until the trainer has saved."""

import signal

from mmpt.upstream.child_process import end_with_killed_parent


class StopSignal:
    """A context that remembers SIGTERM and Ctrl-C; a second one raises KeyboardInterrupt at once."""

    def __enter__(self) -> "StopSignal":
        self.received = 0  # number of the signal
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
    """Ignore SIGTERM and Ctrl-C in a process that reads batches: the trainer needs batches until it has saved.

    Under torchrun SIGTERM reaches these processes too. If the trainer is killed, so are they.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    end_with_killed_parent()
