"""Exit statuses of commands: one line for each foreseen error, a traceback for any other."""

import errno

import pytest

from mmpt.upstream import command
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.errors import CheckpointError


def ends(error: BaseException | None, capsys) -> tuple[int, str]:
    """Return the exit status of a command that raises the error, and what it writes."""

    @command.clean_exit
    def main() -> None:
        if error:
            raise error

    return main(), capsys.readouterr().err


@pytest.mark.parametrize(
    "error, status, line",
    [
        (None, 0, ""),
        (InputError("a.wav:\n  no sound"), 2, "error: a.wav: no sound\n"),
        (CheckpointError("a.pt", "damaged"), 2, "error: a.pt: damaged\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a.pt"), 2, "error: a.pt: No space left on device\n"),
        (OSError("the network is gone"), 2, "error: the network is gone\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_a_foreseen_error_is_one_line(error, status, line, capsys):
    assert ends(error, capsys) == (status, line)


def test_a_missing_library_is_one_line_only_if_an_extra_brings_it(monkeypatch, capsys):
    missing = ModuleNotFoundError("No module named 'av'", name="av")
    monkeypatch.setattr(command, "what_to_install", lambda error: "av is missing: pip install 'mmpt-av[training]'")
    assert ends(missing, capsys) == (2, "error: av is missing: pip install 'mmpt-av[training]'\n")
    monkeypatch.setattr(command, "what_to_install", lambda error: None)
    with pytest.raises(ModuleNotFoundError, match="No module named 'av'"):
        ends(missing, capsys)


def test_any_other_error_is_not_hidden(capsys):
    with pytest.raises(ZeroDivisionError):
        ends(ZeroDivisionError(), capsys)
