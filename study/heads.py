"""Score one encoder of a study: the heads of all tasks, through S3PRL's runner. Finished heads are left alone."""

import functools
import os
import shutil
from dataclasses import replace

from mmpt.study.plan import Plan
from mmpt.study.progress import JobsBar, Part
from mmpt.study.world import World
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.executor import Executor, execute
from mmpt.superb.jobs import Job, make_jobs
from mmpt.superb.options import Options
from mmpt.superb.selection import choose

CHECKS = 5  # on dev, of a head whose steps the plan gives
FIRST_SHARE, TRAINED_SHARE = 0.5, 0.9  # of the heads' time, after the first seed, and before the tests


class Heads:
    """The heads of one encoder.

    All learning rates are tried with the first seed of each task. The other seeds are trained at the rate that is best
    on dev, the same way for every encoder.

    Args:
        plan: which tasks, rates and seeds.
        encoder: what is scored.
        world: where.
    """

    def __init__(self, plan: Plan, encoder: ScoredEncoder, world: World):
        self.plan, self.encoder, self.world = plan, encoder, world
        self.states = world.out / "states" / encoder.name
        is_small = world.data.has_samples_tasks and world.device == "cpu"  # then several threads are slower than one
        self.options = Options(
            data_root=str(world.data.root),
            device=world.device,
            cache=str(self.states),
            limit=world.steps,
            threads=1 if is_small else max(1, (os.cpu_count() or 1) // world.jobs),
        )
        self.steps = {head.task: head.steps for head in plan.heads}

    def tried(self) -> list[Job]:
        """Return the jobs of all rates with the first seed."""
        return [job for head in self.plan.heads for job in self._jobs(head.task, head.rates, head.seeds[:1])]

    def repeated(self) -> list[Job]:
        """Return the jobs of the other seeds at the chosen rates, once these are known."""
        rates = {job.task: job.lr for job in choose(self.tried())}
        return [
            job
            for head in self.plan.heads
            if head.task in rates
            for job in self._jobs(head.task, (rates[head.task],), head.seeds[1:])
        ]

    def jobs(self) -> list[Job]:
        """Return all jobs that are known by now."""
        return [*self.tried(), *self.repeated()]

    def is_done(self) -> bool:
        """Return True if everything has been tested with these settings, this encoder and these data."""
        tried = self.tried()
        if not all(job.trained() and job.is_current() for job in tried):
            return False
        chosen = choose(self.jobs())
        expected = sum(len(head.seeds) for head in self.plan.heads)
        return len(chosen) == expected and all(job.result() and job.is_current() for job in chosen)

    def run(self, executor: Executor, part: Part) -> list[Job]:
        """Train and test; return the jobs that failed. The encoder's states are kept until the end."""
        failed = self._execute(self.tried(), False, executor, part, (0.0, FIRST_SHARE))
        failed += self._execute(self.repeated(), False, executor, part, (FIRST_SHARE, TRAINED_SHARE))
        failed += self._execute(choose(self.jobs()), True, executor, part, (TRAINED_SHARE, 1.0))
        shutil.rmtree(self.states, ignore_errors=True)
        return failed

    def _jobs(self, task: str, rates: tuple[str | None, ...], seeds: tuple[int, ...]) -> list[Job]:
        options, steps = self.options, self.steps[task]
        if steps:
            # Near 100 %, as on the samples, dev WER does not tell which step is better.
            is_blind = task == "asr" and self.world.data.has_samples_tasks
            between = steps if is_blind else max(1, steps // CHECKS)
            lengths = {"total_steps": steps, "eval_step": between, "save_step": between}
            options = replace(options, settings=tuple((f"runner.{key}", str(n)) for key, n in lengths.items()))
        return make_jobs([task], [self.encoder], list(rates), list(seeds), self.world.out / "superb", options)

    def _execute(
        self, jobs: list[Job], evaluate: bool, executor: Executor, part: Part, shares: tuple[float, float]
    ) -> list[Job]:
        for job in jobs:
            job.prepare(replace=True)
        bar = functools.partial(JobsBar, part, *shares, self.world.log(self.encoder.name))
        return execute(jobs, evaluate, executor, self.world.jobs, self.encoder.name, bar)
