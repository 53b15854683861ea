"""Numbers with commas on a benchmark's command line."""


def numbers(text: str) -> list[int]:
    """Return the numbers, for argparse, which turns a ValueError into one line."""
    return [int(number) for number in text.split(",")]
