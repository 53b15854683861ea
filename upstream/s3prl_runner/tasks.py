"""The five SUPERB tasks as S3PRL's stock runner knows them.

The launcher, the experiment reader and stage 3 share this one table, so that no other file spells a stock name. It
imports nothing but the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SuperbTask:
    """One SUPERB task: our short name, and S3PRL's names for its parts."""

    name: str
    """ks, ic, pr, sd or asr; also the name of the task's YAML in downstream_configs."""
    downstream: str
    """S3PRL's name (`-d`), a folder of s3prl/downstream."""
    best_checkpoint: str
    """The file that S3PRL writes at the best development score so far."""
    test_split: str
    """The split of the leaderboard's figure (`-t`)."""
    workers_key: str
    """The YAML's key for the number of loader processes, dotted as in `-o`."""
    dev_score: str
    """The development score by which S3PRL chooses the best checkpoint, as logged."""
    metric: str
    """The figure on the test split, as `experiment.score` names it."""
    higher_is_better: bool
    """True if a higher `dev_score` is better."""


TASKS = (
    SuperbTask(
        name="ks",
        downstream="speech_commands",
        best_checkpoint="dev-best.ckpt",
        test_split="test",
        workers_key="downstream_expert.datarc.num_workers",
        dev_score="speech_commands/dev-acc",
        metric="acc",
        higher_is_better=True,
    ),
    SuperbTask(
        name="ic",
        downstream="fluent_commands",
        best_checkpoint="dev-best.ckpt",
        test_split="test",
        workers_key="downstream_expert.datarc.num_workers",
        dev_score="fluent_commands/dev-acc",
        metric="acc",
        higher_is_better=True,
    ),
    SuperbTask(
        name="pr",
        downstream="ctc",
        best_checkpoint="dev-best.ckpt",
        test_split="test",
        workers_key="downstream_expert.corpus.num_workers",
        dev_score="ctc-libriphone/dev-per",
        metric="per",
        higher_is_better=False,
    ),
    SuperbTask(
        name="sd",
        downstream="diarization",
        best_checkpoint="best-states-dev.ckpt",
        test_split="test",
        workers_key="downstream_expert.loaderrc.num_workers",
        dev_score="diarization/dev-acc",
        metric="der",
        higher_is_better=True,
    ),
    SuperbTask(
        name="asr",
        downstream="asr",
        best_checkpoint="dev-clean-best.ckpt",
        test_split="test-clean",
        workers_key="downstream_expert.datarc.num_workers",
        dev_score="asr/dev-clean-wer",
        metric="wer",
        higher_is_better=False,
    ),
)


def find_task(name: str | None) -> SuperbTask | None:
    """Return the task with this short name or S3PRL name, or None if it is none of the five."""
    return next((task for task in TASKS if name in (task.name, task.downstream)), None)


def superb_task(name: str) -> SuperbTask:
    """Return the task with this short name or S3PRL name.

    Raises:
        KeyError: it is none of the five.
    """
    task = find_task(name)
    if task is None:
        raise KeyError(name)
    return task
