"""Fork a process for each command from one that has torch, S3PRL and this project loaded.

    python fork_server.py ADDRESS OWNER    # a socket's path; the server ends when the process OWNER has ended

A real start imports all of that anew, in 3 to 6 s. `helpers.python_stand_in` is the other side. A child gets the
command's files, folder, environment and arguments, runs as `__main__` and ends as an interpreter does. Its signals come
through the stand-in; it is killed when its stand-in is gone.
"""

import ast
import atexit
import contextlib
import fcntl
import functools
import gc
import importlib
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
import types
from dataclasses import dataclass, field
from typing import NoReturn

LOADED = (
    "torch.distributed.run",
    "torch.utils.tensorboard",
    "torchvision",
    "sacrebleu",
    "sentencepiece",
    "submitit.core._submit",
    "s3prl.hub",
    "s3prl.run_downstream",
    "s3prl.downstream.asr.expert",
    "s3prl.downstream.ctc.expert",
    "s3prl.downstream.diarization.expert",
    "s3prl.downstream.fluent_commands.expert",
    "s3prl.downstream.speech_commands.expert",
    "mmpt.superb.executor",
    "mmpt.pretrain.run",
    "mmpt.midtrain.run",
    "mmpt.midtrain.starting_point",
    "mmpt.midtrain.translate",
    "mmpt.midtrain.translating",
    "mmpt.upstream.s3prl_runner.distributed",
    "mmpt.upstream.s3prl_runner.registration",
    "mmpt.upstream.s3prl_runner.watch",
)


@dataclass
class Request:
    """A command, with what its stand-in had when it was started.

    Without `argv` it asks for an answer when no child of this stand-in is left. `files`: here → number in the child.
    """

    program: str
    ignored: list[str]
    folder: str
    environment: dict[str, str]
    argv: list[str]
    files: dict[int, int] = field(default_factory=dict)


def main() -> None:
    """Serve until the owner ends; in a child, run the command."""
    address, owner = sys.argv[1], int(sys.argv[2])
    os.setsid()  # Ctrl-C at a terminal reaches the stand-ins, which pass it on
    del sys.path[0]  # this file's folder
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.new")
        listener.listen(64)
        os.rename(f"{address}.new", address)
        load()
        request = Server(listener, owner).serve()
    if request:
        run(request)


def load() -> None:
    """Import everything, without starting a thread. A command that needs what fails here fails as it would alone."""
    from mmpt.upstream.s3prl_runner import repairs

    for step in (repairs.apply, *(functools.partial(importlib.import_module, name) for name in LOADED)):
        try:
            step()
        except Exception:
            traceback.print_exc()
    if len(os.listdir("/proc/self/task")) != 1:
        raise RuntimeError("a thread was started by an import: forking is no longer safe")
    gc.collect()
    gc.freeze()  # or the collector would copy all pages in each child


class Server:
    """The loop that accepts commands, forks, passes signals on and reports how children ended."""

    def __init__(self, listener: socket.socket, owner: int):
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, self.accept)
        self.owner = os.pidfd_open(owner)
        self.selector.register(self.owner, selectors.EVENT_READ, None)
        self.listener = listener
        self.connections: dict[int, socket.socket] = {}  # by child
        self.programs: dict[int, str] = {}  # by child
        self.waiting: list[tuple[str, socket.socket]] = []  # for all children of a stand-in to end

    def serve(self) -> Request | None:
        """Return a child's request in the child, None in the server when its owner has ended."""
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    self.kill(*self.connections)
                    return None
                request = key.data() if key.fileobj in self.selector.get_map() else None
                if request:
                    return request

    def accept(self) -> Request | None:
        """Fork for one connection. Children whose stand-ins were killed before it was made are gone by then."""
        connection, _ = self.listener.accept()
        request = receive_request(connection)
        self.kill(*(child for child, other in self.connections.items() if is_closed(other)))
        if request is None:
            connection.close()  # the stand-in was killed
            return None
        if not request.argv:
            self.waiting.append((request.program, connection))
            self.answer_waiting()
            return None
        child = os.fork()
        if child == 0:
            self.leave(connection)
            return request
        for here in request.files:
            os.close(here)
        self.connections[child], self.programs[child] = connection, request.program
        ended = os.pidfd_open(child)
        self.selector.register(ended, selectors.EVENT_READ, lambda: self.report(child, ended))
        self.selector.register(connection, selectors.EVENT_READ, lambda: self.pass_on(child, connection))
        return None

    def leave(self, connection: socket.socket) -> None:
        """Close, in a child, all that belongs to the server."""
        for key in list(self.selector.get_map().values()):
            os.close(key.fd)
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.detach()
        for _, other in self.waiting:
            other.close()
        connection.close()
        self.selector.close()

    def pass_on(self, child: int, connection: socket.socket) -> None:
        """Send the child what its stand-in was sent; kill it if the stand-in is gone."""
        numbers = connection.recv(16)
        for number in numbers:
            os.kill(child, number)
        if not numbers:
            self.selector.unregister(connection)
            os.kill(child, signal.SIGKILL)

    def report(self, child: int, ended: int) -> None:
        """Tell the stand-in how the child ended."""
        _, status = os.waitpid(child, 0)
        connection, _ = self.connections.pop(child), self.programs.pop(child)
        self.selector.unregister(ended)
        os.close(ended)
        if connection in self.selector.get_map():
            self.selector.unregister(connection)
        try:
            connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        except OSError:
            pass  # the stand-in was killed
        connection.close()
        self.answer_waiting()

    def answer_waiting(self) -> None:
        """Answer those that wait until no child of a stand-in is left."""
        for entry in list(self.waiting):
            program, connection = entry
            if program not in self.programs.values():
                connection.close()
                self.waiting.remove(entry)

    def kill(self, *children: int) -> None:
        """Kill children and wait until they are gone; `report` does the rest."""
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)


def receive_request(connection: socket.socket) -> Request | None:
    """Read what python_stand_in.send_request sent; None if it was killed on the way."""
    start, here, _, _ = socket.recv_fds(connection, 8, 250)
    size, content = int.from_bytes(start, "big"), b""
    while len(content) < size and (more := connection.recv(size - len(content))):
        content += more
    if not content or len(content) < size:
        return None
    request, numbers = ast.literal_eval(content.decode())
    return Request(*request, dict(zip(here, numbers)))


def is_closed(connection: socket.socket) -> bool:
    """Return True if the other side is gone."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False


def run(request: Request) -> NoReturn:
    """Become the command in a forked child."""
    take_files(request.files)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    # The server itself may ignore Ctrl-C, as what a shell starts in the background does; its children need not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in request.ignored:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.executable = request.program
    argv = list(request.argv)
    unbuffered = argv[0] == "-u"
    open_standard_files(unbuffered)
    draw_anew()
    path = os.environ.get("PYTHONPATH", "")
    sys.path[:0] = [folder for folder in path.split(os.pathsep) if folder]
    end_with(status_of(argv[unbuffered:]))


def status_of(argv: list[str]) -> int:
    """Run the command; return its exit status, or the negative number of the signal that ends it."""
    try:
        run_as_main(argv)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException as error:
        trace = error.__traceback__
        while trace and trace.tb_frame.f_code.co_filename in (__file__, runpy.__file__, "<frozen runpy>"):
            trace = trace.tb_next
        traceback.print_exception(type(error), error, trace)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def end_with(status: int) -> NoReturn:
    """End as an interpreter does, but for the second that it would take to free thousands of modules."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status & 0xFF)


def take_files(files: dict[int, int]) -> None:
    """Give each open file the number that it had in the stand-in."""
    high = {fcntl.fcntl(here, fcntl.F_DUPFD_CLOEXEC, 500): number for here, number in files.items()}
    for here in files:
        os.close(here)
    for moved, number in high.items():
        os.dup2(moved, number)
        os.close(moved)


def open_standard_files(unbuffered: bool) -> None:
    """Make sys.stdin, sys.stdout and sys.stderr anew."""
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stdout.reconfigure(write_through=unbuffered)
    sys.stderr.reconfigure(line_buffering=True)


def draw_anew() -> None:
    """Draw what a start draws: NumPy's seed. The one thread of the server stays, whatever the environment asks for."""
    import numpy

    numpy.random.seed()


def run_as_main(argv: list[str]) -> None:
    """Run `-c CODE`, `-m MODULE` or `FILE` with its arguments in a fresh `__main__`."""
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    module.__builtins__ = __builtins__
    if argv[0] == "-m":
        sys.argv[:] = argv[1:]
        sys.modules.pop(argv[1], None)  # it is loaded anew, as __main__
        sys.path.insert(0, os.getcwd())
        runpy._run_module_as_main(argv[1])
    elif argv[0] == "-c":
        sys.argv[:] = ["-c", *argv[2:]]
        sys.path.insert(0, "")
        exec(compile(argv[1], "<string>", "exec"), module.__dict__)
    else:
        sys.argv[:] = argv
        sys.path.insert(0, os.path.dirname(os.path.realpath(argv[0])))
        module.__file__ = argv[0]
        with open(argv[0], "rb") as file:
            code = compile(file.read(), argv[0], "exec")
        exec(code, module.__dict__)


if __name__ == "__main__":
    main()
