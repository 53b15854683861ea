"""The corpora that the leaderboard uses: their sizes, classes and lexicons."""

from mmpt.superb.data_checks.findings import WARNING, Finding

INCOMPARABLE = "figures are not comparable with the board"
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
KS_CLASSES = {*COMMANDS, "_unknown_", "_silence_"}
BOARD_LEXICONS = ["librispeech-lexicon-200k-g2p.txt", "librispeech-lexicon-allothers-g2p.txt"]  # S3PRL's
PUBLISHED = {  # items of each split
    "ks train": 64727,
    "ks test": 3081,
    "ic train": 23132,
    "ic valid": 3118,
    "ic test": 3793,
    "train-clean-100": 28539,
    "train-clean-360": 104014,
    "train-other-500": 148688,
    "dev-clean": 2703,
    "dev-other": 2864,
    "test-clean": 2620,
    "test-other": 2939,
    "sd train": 13900,
    "sd dev": 3000,
    "sd test": 3000,
}
PUBLISHED_TEST = {
    "ks": PUBLISHED["ks test"],
    "ic": PUBLISHED["ic test"],
    "sd": PUBLISHED["sd test"],
    "pr": PUBLISHED["test-clean"],
    "asr": PUBLISHED["test-clean"],
}


def check_counts(task: str, counts: dict[str, int]) -> list[Finding]:
    """Compare the number of items of each split with the published corpus."""
    return [
        Finding(WARNING, task, f"{name}: {count:,} items, the published corpus has {PUBLISHED[name]:,}: {INCOMPARABLE}")
        for name, count in counts.items()
        if name in PUBLISHED and count != PUBLISHED[name]
    ]
