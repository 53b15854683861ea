"""Print which settings let the paper's updates fit GPUs of 16, 24, 48 and 80 GB, by the estimate made before a run.

The table is Markdown. No GPU is needed.
"""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from mmpt.upstream.command import clean_exit
from mmpt.upstream.repository import REPOSITORY

if TYPE_CHECKING:
    from mmpt.training.memory_estimate import Memory

CARDS_GB = (16, 24, 48, 80)
SEGMENT_SAMPLES, SEGMENT_TOKENS = 100_800, 32  # of stage 2: about MuST-C's mean, 6.3 s and 30 sub-words
EXAMPLES = """\
examples:
  python scripts/benchmark/memory_table.py                 in bfloat16: half a minute
  python scripts/benchmark/memory_table.py --float32
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--float32", action="store_true", help="in float32, not bfloat16")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Print the table; return the exit status."""
    bfloat16 = not parser().parse_args(argv).float32
    print("| update | in one piece | with checkpointing |", *(f" {card} GB |" for card in CARDS_GB), sep="")
    print("|---" * (3 + len(CARDS_GB)) + "|")
    for objective in ("clr", "mae", "mae+clr"):
        print(row(f"`{objective}`, 256 clips", *counter_of_clips(objective, bfloat16)))
    print(row("stage 2, 320,000 frames", *counter_of_segments(bfloat16)))
    return 0


def counter_of_clips(objective: str, bfloat16: bool) -> tuple[Callable[[int], "Memory"], list[int]]:
    """Return how to count the memory of an update of paper.yaml in so many parts, and the numbers of parts."""
    from mmpt.pretrain.memory import memory_of_clips
    from mmpt.pretrain.model import build_model
    from mmpt.pretrain.settings import PretrainSettings
    from mmpt.training.settings import load_settings

    config = REPOSITORY / "pretrain" / "configs" / "paper.yaml"
    settings = load_settings(PretrainSettings, config, [f"objective={objective}"])
    model, clips = build_model(settings), settings.data.batch_size
    choices = [parts for parts in range(1, clips + 1) if clips % parts == 0]
    return lambda parts: memory_of_clips(model, settings, clips // parts, bfloat16), choices


def counter_of_segments(bfloat16: bool) -> tuple[Callable[[int], "Memory"], list[int]]:
    """Return the same of an update of must_c.yaml, for segments of MuST-C's mean length."""
    from mmpt.midtrain.memory import Sizes, memory_of_segments
    from mmpt.midtrain.model import TranslationModel
    from mmpt.midtrain.settings import MidtrainSettings
    from mmpt.training.settings import load_settings
    from mmpt.upstream.mmpt_av import Encoder, EncoderConfig

    settings = load_settings(MidtrainSettings, REPOSITORY / "midtrain" / "configs" / "must_c.yaml", [])
    encoder = Encoder(EncoderConfig.preset(settings.preset))
    model = TranslationModel(encoder, settings.data.vocabulary_size, settings.decoder)
    segments = settings.data.batch_frames // (SEGMENT_SAMPLES // 160)

    def count(parts: int) -> "Memory":
        sizes = [Sizes(SEGMENT_SAMPLES, SEGMENT_TOKENS)] * (segments // parts)
        return memory_of_segments(model, settings, sizes, bfloat16)

    return count, [2**power for power in range(8)]


def row(name: str, count: Callable[[int], "Memory"], choices: list[int]) -> str:
    """Return a line of the table."""
    from mmpt.training.memory_report import ROOM, ways_to_fit
    from mmpt.training.settings import OptimSettings

    plain = OptimSettings()
    assert (plain.accumulate, plain.checkpoint_blocks) == (1, False)
    whole = count(1)
    cells = [name, *(f"{whole.total(checkpointing) / 1e9:.0f} GB" for checkpointing in (False, True))]
    for card in CARDS_GB:
        free = card * 2**30
        fits = whole.total(False) <= ROOM * free
        cells.append(
            "as it is" if fits else " or ".join(f"`{way}`" for way in ways_to_fit(count, choices, plain, free))
        )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
