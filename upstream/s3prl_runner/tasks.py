"""The five SUPERB tasks as S3PRL's stock runner knows them.

One table that the launcher, the experiment reader and the scripts share, so that no other file spells
a stock name. It imports nothing but the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One SUPERB task: our short name, and what S3PRL calls its parts."""

    name: str
    """ks, ic, pr, sd or asr: also the name of the task's YAML in downstream_configs."""
    downstream: str
    """S3PRL's name for it (`-d`), a folder of s3prl/downstream."""
    best_checkpoint: str
    """The file that S3PRL writes when the development score is the best so far."""
    test_split: str
    """The split of the leaderboard's figure (`-t`)."""
    workers_key: str
    """Where the YAML says how many loader processes to use, dotted, as in `-o`."""
    dev_score: str
    """What S3PRL logs on dev and chooses the best checkpoint by."""
    metric: str
    """The figure on test, as `experiment.score` names it."""
    higher_is_better: bool
    """Of `dev_score`."""


TASKS = (
    Task(
        "ks",
        "speech_commands",
        "dev-best.ckpt",
        "test",
        "downstream_expert.datarc.num_workers",
        "speech_commands/dev-acc",
        "acc",
        True,
    ),
    Task(
        "ic",
        "fluent_commands",
        "dev-best.ckpt",
        "test",
        "downstream_expert.datarc.num_workers",
        "fluent_commands/dev-acc",
        "acc",
        True,
    ),
    Task(
        "pr",
        "ctc",
        "dev-best.ckpt",
        "test",
        "downstream_expert.corpus.num_workers",
        "ctc-libriphone/dev-per",
        "per",
        False,
    ),
    Task(
        "sd",
        "diarization",
        "best-states-dev.ckpt",
        "test",
        "downstream_expert.loaderrc.num_workers",
        "diarization/dev-acc",
        "der",
        True,
    ),
    Task(
        "asr",
        "asr",
        "dev-clean-best.ckpt",
        "test-clean",
        "downstream_expert.datarc.num_workers",
        "asr/dev-clean-wer",
        "wer",
        False,
    ),
)


def find_task(name: str | None) -> Task | None:
    """The task called `name`, by our short name or by S3PRL's; None where it is none of the five."""
    return next((task for task in TASKS if name in (task.name, task.downstream)), None)


def superb_task(name: str) -> Task:
    """The task called `name`, by our short name or by S3PRL's.

    Raises:
        KeyError: none of the five is.
    """
    task = find_task(name)
    if task is None:
        raise KeyError(name)
    return task
