"""The one error of the samples builder."""


class SamplesError(Exception):
    """What is wrong, where, and what to do, in one line; the command turns it into exit status 2."""
