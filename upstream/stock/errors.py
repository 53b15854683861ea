"""The one error that the launcher turns into one line on standard error and exit status 2."""


class StockRunnerError(Exception):
    """Something the user gave to the stock runner cannot work; one line: what, where, what to do."""
