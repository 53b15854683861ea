"""Errors that every command turns into one line and exit status 2 (see command.py)."""


class InputError(Exception):
    """Something the user gave, or something needed, cannot work. The message is one line: what, where, what to do."""


def describe_os_error(error: OSError) -> str:
    """Return one line on an error of the system: no permission, a full disk, a file where a folder should be."""
    file = f"{error.filename}: " if error.filename else ""
    return f"{file}{error.strerror or error}"
