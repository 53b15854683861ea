"""SUPERB's tasks as S3PRL's stock runner knows them: the five that stage 3 scores, and those beyond the five.

The launcher, the experiment reader and stage 3 share these tables, so that no other file spells a stock name. It
imports nothing but the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StockTask:
    """A task of S3PRL that has settings in downstream_configs: our short name, and S3PRL's names for its parts."""

    name: str
    """ks, sid, ...; also the name of the task's YAML in downstream_configs."""
    downstream: str
    """S3PRL's name (`-d`), a folder of s3prl/downstream."""
    best_checkpoint: str
    """The file that S3PRL writes at the best development score so far; empty if it writes none."""
    test_split: str
    """The split of the leaderboard's figure (`-t`)."""
    workers_key: str
    """The YAML's key for the number of loader processes, dotted as in `-o`."""
    corpus: str = ""
    """`corpus.name` in the YAML, where S3PRL has one folder for several tasks (ctc)."""
    trains: bool = True
    """False if there is no head to train: the task is evaluated at once."""


@dataclass(frozen=True, kw_only=True)
class SuperbTask(StockTask):
    """One of the five tasks that stage 3 trains, scores and submits."""

    dev_score: str
    """The development score by which S3PRL chooses the best checkpoint, as logged."""
    metric: str
    """The figure on the test split, as `experiment.score` names it."""
    higher_is_better: bool
    """True if a higher `dev_score` is better."""
    rate_score: str = ""
    """The development score by which a learning rate is chosen, if it is not `dev_score`."""


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
        corpus="libriphone",
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
        # Of characters and word ends: after little training, WER is near 100 % for good and bad heads.
        rate_score="asr/dev-clean-uer",
        metric="wer",
        higher_is_better=False,
    ),
)

OTHER_TASKS = (
    StockTask("sid", "voxceleb1", "dev-best.ckpt", "test", "downstream_expert.datarc.num_workers"),
    StockTask("er", "emotion", "dev-best.ckpt", "test", "downstream_expert.datarc.num_workers"),
    StockTask("sf", "ctc", "dev-best.ckpt", "test", "downstream_expert.corpus.num_workers", corpus="snips"),
    StockTask("asv", "sv_voxceleb1", "", "test", "downstream_expert.datarc.num_workers"),
    StockTask("qbe", "quesst14_dtw", "", "test", "downstream_expert.datarc.num_workers", trains=False),
    StockTask("se", "enhancement_stft2", "best-states-dev.ckpt", "test", "downstream_expert.loaderrc.num_workers"),
    StockTask("ss", "separation_stft2", "best-states-dev.ckpt", "test", "downstream_expert.loaderrc.num_workers"),
)
"""Tasks that `run_downstream.py` trains and evaluates, and that stage 3 neither scores nor submits."""


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


def find_stock_task(name: str | None, corpus: str | None = None) -> StockTask | None:
    """Return the task of both tables with this short name or S3PRL name; None if there is none.

    Args:
        name: as typed after `-d`.
        corpus: `corpus.name` of the settings, if they have one: of `ctc` it tells PR from SF, and None means PR.
    """
    for task in (*TASKS, *OTHER_TASKS):
        if name == task.name:
            return task
        if name == task.downstream and (not task.corpus or corpus in (None, task.corpus)):
            return task
    return None
