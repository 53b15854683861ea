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


TASKS = (
    Task("ks", "speech_commands", "dev-best.ckpt", "test", "downstream_expert.datarc.num_workers"),
    Task("ic", "fluent_commands", "dev-best.ckpt", "test", "downstream_expert.datarc.num_workers"),
    Task("pr", "ctc", "dev-best.ckpt", "test", "downstream_expert.corpus.num_workers"),
    Task("sd", "diarization", "best-states-dev.ckpt", "test", "downstream_expert.loaderrc.num_workers"),
    Task("asr", "asr", "dev-clean-best.ckpt", "test-clean", "downstream_expert.datarc.num_workers"),
)


def find_task(name: str | None) -> Task | None:
    """The task called `name`, by our short name or by S3PRL's; None where it is none of the five."""
    return next((task for task in TASKS if name in (task.name, task.downstream)), None)
