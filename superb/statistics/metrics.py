"""Which figures of the tasks count in comparisons, which are shown, and what they are called."""

from mmpt.superb.text_table import ARROWS
from mmpt.upstream.s3prl_runner.tasks import superb_task

# The one figure of each task that comparisons count. ASR's is the error in characters: while most words are wrong, the
# one in words says little.
PRIMARY = {"ks": "acc", "ic": "acc", "pr": "per", "sd": "der", "asr": "cer"}
ITEMS = {"ks": "clips", "ic": "clips", "pr": "utterances", "sd": "recordings", "asr": "utterances"}


def shown_metrics(task: str) -> list[str]:
    """Return the figures that tables show: the one that counts, and ASR's word error rate."""
    return list(dict.fromkeys((PRIMARY[task], superb_task(task).metric)))


def title(task: str, split: str, metric: str) -> str:
    """Return a figure's name in tables, such as "ASR clean CER ↓"."""
    of_split = "" if split == "test" else " " + split.removeprefix("test-")
    return f"{task.upper()}{of_split} {'accuracy' if metric == 'acc' else metric.upper()} {ARROWS[metric]}"


def is_better(metric: str, difference: float) -> bool:
    """Return True if a score that is higher by `difference` is better."""
    return difference > 0 if ARROWS[metric] == "↑" else difference < 0
