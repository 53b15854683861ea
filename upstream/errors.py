"""The error of bad input, which every command turns into one line and exit status 2 (see command.py)."""


class InputError(Exception):
    """Something the user gave, or something needed, cannot work. The message is one line: what, where, what to do."""
