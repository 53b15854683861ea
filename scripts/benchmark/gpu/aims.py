"""What an H100 should reach, beside what was measured."""

from typing import NamedTuple

from mmpt.scripts.benchmark.gpu.record import Record

CARDS = ("H100", "H200", "GH200")  # one chip, other memories


class Aim(NamedTuple):
    """A figure by its place in a record, and its limit."""

    what: str
    place: tuple[str, ...]  # item, part, names inside it
    limit: float
    at_least: bool = True


AIMS = (
    Aim("MFU of MAE, %", ("training", "mae", "after", "mfu_percent"), 35),
    Aim("MFU of CLR, %", ("training", "clr", "after", "mfu_percent"), 15),
    Aim("MFU of stage 2, %", ("training", "stage2", "after", "mfu_percent"), 35),
    Aim("torchaudio's time over ours, training", ("peer", "ragged", "training", "ratio"), 1.5),
    Aim("ragged over equal lengths, time a state", ("grid", "bfloat16", "ragged_over_equal"), 1.15, False),
    *(
        Aim(f"front end in a step of {name}, %", ("profile", name, "front_end_percent"), 3, False)
        for name in ("clr", "mae", "mae+clr", "stage2")
    ),
)


def aims_of(record: Record) -> list[list[str]]:
    """Return rows (what, measured, aim, met or missed) of what was measured; none on another card."""
    if not any(name in record.about["card"] for name in CARDS):
        return []
    rows = []
    for aim in AIMS:
        value: object = record.items
        for name in aim.place:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, (int, float)):
            met = value >= aim.limit if aim.at_least else value <= aim.limit
            sign = "≥" if aim.at_least else "≤"
            rows.append([aim.what, f"{value:.3g}", f"{sign} {aim.limit:g}", "met" if met else "missed"])
    return rows
