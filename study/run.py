"""Run a study: train its encoders, score them one after the other, write the results and the page.

What is done is left alone, so the same call resumes after an interruption at any moment.
"""

import os
import platform
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, replace

from mmpt.midtrain.corpus import open_corpus
from mmpt.study.heads import Heads
from mmpt.study.pairs import pairs
from mmpt.study.plan import FBANK, Plan, StudyEncoder
from mmpt.study.progress import StudyProgress
from mmpt.study.record import FILE, MadeEncoder, Study, read_study, write_study
from mmpt.study.training import bleu, keep_minutes, minutes, train_encoder, translation_tests
from mmpt.study.world import World
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.executor import executor_for
from mmpt.superb.printout import SMOKE
from mmpt.superb.results import write_results
from mmpt.superb.selection import choose
from mmpt.superb.software import software_versions
from mmpt.training.stage_commands import end_commands, signals_to_commands
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.registration import UPSTREAM


def check(plan: Plan, world: World, also: Sequence[ScoredEncoder]) -> None:
    """Check what would fail after hours of training.

    Raises:
        InputError: a corpus is not there, or one of the user's encoders has a name of the plan's.
    """
    for encoder in also:
        if encoder.name in plan.names():
            raise InputError(f"--also {encoder.name}: the study has an encoder of that name; write --also NAME=…")
    for language in (*plan.languages, *plan.more_languages):
        open_corpus(world.data.must_c, language, max_frames=0)
    for job in Heads(plan, ScoredEncoder(FBANK, "fbank"), world).tried():
        _ = job.config  # which finds the corpora


class StudyRun:
    """A study in a folder.

    Args:
        name: of the plan: its scale or file.
        plan: what is run.
        world: where.
        also: the user's encoders, which are scored with the others.
        command: as it was typed.
    """

    def __init__(self, name: str, plan: Plan, world: World, also: Sequence[ScoredEncoder], command: str):
        self.name, self.plan, self.world, self.command = name, plan, world, command
        self.settings = settings_of(plan, world)
        self.also = {encoder.name: encoder for encoder in also}
        self.encoders = [*plan.encoders(), *(StudyEncoder(name, "also") for name in self.also)]
        self.made = {encoder.name: MadeEncoder(**asdict(encoder)) for encoder in self.encoders}
        self.made_by: tuple[tuple[str, str], ...] = ()  # of the last call that trained
        if (world.out / FILE).is_file():
            self._read(read_study(world.out))

    def run(self) -> list[str]:
        """Train and score everything; return the names of the heads that failed. Exits if a training fails."""
        expected = {encoder.name: self._expected_s(encoder) for encoder in self.encoders}
        done = {name: seconds for name, seconds in expected.items() if self._is_scored(name)}
        if len(done) < len(expected) or not self.made_by:
            self.made_by = made_by(self.command, self.world)
        self._write_study()
        executor = executor_for("local", self.world.out, {}, cpus=1, gpus=int(self.world.device == "cuda"))
        failed = []
        with StudyProgress(sum(map(sum, expected.values())), sum(map(sum, done.values())), self.name) as progress:
            self._train_all({name: expected[name][0] for name in expected if name not in done}, progress)
            for encoder in self.encoders:
                if encoder.name not in done:
                    with progress.part(f"{encoder.name}, heads", expected[encoder.name][1]) as part:
                        failed += [job.name for job in self._heads(encoder.name).run(executor, part)]
        executor.end_all()
        return failed

    def write(self) -> dict:
        """Write results.json and study.json from what is there; return the content of results.json."""
        there = [encoder.name for encoder in self.encoders if self._exists(encoder)]
        jobs = [job for name in there for job in self._heads(name).jobs()]
        chosen = choose(jobs)
        scored = {job.encoder.name for job in chosen if job.result()}  # at least in part
        compared = [pair for pair in pairs(self.encoders) if scored.issuperset(pair)]
        self._write_study(translation_tests(self.encoders, self.world))
        command = dict(self.made_by).get("command", self.command)
        notes = [SMOKE] if any(job.is_smoke or job.changed for job in jobs) else []
        return write_results(jobs, chosen, self.world.out, command, notes, compared)

    def _read(self, before: Study) -> None:
        """Take over what an earlier call has measured; a plan may have got more encoders since.

        Raises:
            InputError: it ran another study.
        """
        measured = {encoder.name: encoder for encoder in before.encoders if encoder.kind != "also"}
        known = {name: replace(encoder, minutes=None, bleu=None) for name, encoder in measured.items()}
        is_another = (before.plan, before.settings) != (self.name, self.settings)
        if is_another or any(self.made.get(name) != encoder for name, encoder in known.items()):
            raise InputError(
                f"{self.world.out}: holds another study ({before.plan}); give another --out, or --fresh to delete it"
            )
        self.made |= measured
        self.made_by = before.made_by

    def _train_all(self, expected_s: dict[str, float], progress: StudyProgress) -> None:
        """Train encoders, several at a time, the longest first; exit if a training fails, after the others have saved.

        Those that an earlier call trained take no time and come before all, as others may wait for them.

        Args:
            expected_s: the seconds of those that are not done.
            progress: the study's line.
        """
        waiting = [e for e in self.encoders if e.name in expected_s and e.kind not in ("fbank", "also")]
        waiting.sort(key=lambda encoder: (bool(expected_s[encoder.name]), -expected_s[encoder.name]))
        missing, running = {encoder.name for encoder in waiting}, dict[Future, StudyEncoder]()
        try:
            with signals_to_commands(), ThreadPoolExecutor(self.world.trainings) as pool:
                while waiting or running:
                    ready = [encoder for encoder in waiting if missing.isdisjoint(self._needs(encoder))]
                    for encoder in ready[: self.world.trainings - len(running)]:
                        waiting.remove(encoder)
                        running[pool.submit(self._train, encoder, expected_s[encoder.name], progress)] = encoder
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        missing.remove(running.pop(future).name)
                        self._write_study()
                        if future.exception():
                            end_commands()
                        future.result()
        finally:
            self._write_study()

    def _train(self, encoder: StudyEncoder, expected_s: float, progress: StudyProgress) -> None:
        """Train an encoder if it has to be, and note the minutes that this took, and the BLEU of its translations."""
        before, folder = self.made[encoder.name], self.world.folder(encoder.name)
        keep_minutes(folder, before.minutes)
        try:
            with progress.part(f"{encoder.name}, training", expected_s) as part:
                train_encoder(self.plan, encoder, self.world, self._steps(encoder), part)
        finally:
            self.made[encoder.name] = replace(before, minutes=minutes(folder), bleu=bleu(encoder, self.world))

    def _steps(self, encoder: StudyEncoder) -> int:
        """Return the updates of an encoder's last stage.

        The control's are those of pre-training, and as many more as fit into the time that mid-training took.
        """
        steps = self.world.steps or (self.plan.midtrain if encoder.language else self.plan.pretrain).steps
        if encoder.kind != "longer":
            return steps
        of_start, of_midtraining = (self.made[name].minutes for name in self._time_of(encoder))
        if not of_start or not of_midtraining:
            lost = " and ".join(str(self.world.folder(n)) for n in self._time_of(encoder) if not self.made[n].minutes)
            raise InputError(f"the time that {encoder.name} follows was lost: delete {lost}, and run this again")
        return steps + round(steps * of_midtraining / of_start)

    def _needs(self, encoder: StudyEncoder) -> tuple[str, ...]:
        """Return the encoders that must be there before this one is trained."""
        if encoder.kind == "longer":
            return self._time_of(encoder)
        return (encoder.start,) if encoder.start else ()

    def _time_of(self, control: StudyEncoder) -> tuple[str, str]:
        """Return the encoder of which a control is a longer run, and that mid-trained from it to the first language."""
        mid = next(e for e in self.encoders if e.start == control.start and e.language == self.plan.languages[0])
        assert control.start
        return control.start, mid.name

    def _expected_s(self, encoder: StudyEncoder) -> tuple[float, float]:
        """Return the seconds that training and heads are expected to take, for trainings a share of the machine's.

        What an earlier call has trained takes none, or the time left would be too short.
        """
        stages = {"pretrained": self.plan.pretrain.minutes, "midtrained": self.plan.midtrain.minutes}
        stages["longer"] = sum(stages.values())
        training_s = 0.0 if self._exists(encoder) else 60 * stages.get(encoder.kind, 0.0) / self.world.trainings
        return training_s, 60 * self.plan.head_minutes

    def _exists(self, encoder: StudyEncoder) -> bool:
        return encoder.kind in ("fbank", "also") or self.world.encoder_file(encoder.name).is_file()

    def _is_scored(self, name: str) -> bool:
        encoder = next(one for one in self.encoders if one.name == name)
        return self._exists(encoder) and self._heads(name).is_done()

    def _heads(self, name: str) -> Heads:
        own = self.also.get(name)
        if own is None:
            kind = self.made[name].kind
            file = None if kind == "fbank" else self.world.encoder_file(name)
            own = ScoredEncoder(name, "fbank" if kind == "fbank" else UPSTREAM, file)
        return Heads(self.plan, own, self.world)

    def _write_study(self, tests: tuple = ()) -> None:
        made = tuple(self.made[encoder.name] for encoder in self.encoders)
        is_trial = self.world.steps is not None
        write_study(self.world.out, Study(self.name, made, self.plan.cut, self.settings, tests, self.made_by, is_trial))


def made_by(command: str, world: World) -> tuple[tuple[str, str], ...]:
    """Return what a reader must know to repeat a study besides its settings, as names and texts."""
    versions = ", ".join(f"{name} {version}" for name, version in software_versions().items())
    processor = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    machine = f"{world.device}; {processor}; {world.jobs} heads at a time"
    return (("command", command), ("machine", machine), ("software", versions))


def settings_of(plan: Plan, world: World) -> tuple[tuple[str, str], ...]:
    """Return what a study's results depend on, as names and texts."""
    of_stage = [
        (title, f"{stage.config}, {world.steps or stage.steps} updates" + "".join(f", {one}" for one in stage.settings))
        for title, stage in (("pre-training", plan.pretrain), ("mid-training", plan.midtrain))
    ]
    heads = [
        (
            f"heads of {head.task.upper()}",
            f"learning rates {', '.join(head.rates)}, chosen on dev with seed {head.seeds[0]}; "
            f"seeds {', '.join(map(str, head.seeds))}" + (f"; {steps} updates" if steps else ""),
        )
        for head in plan.heads
        for steps in [world.steps or head.steps]
    ]
    seeds = ", ".join(map(str, plan.seeds))
    return (("encoder", f"preset {plan.preset}, seed {seeds}"), *of_stage, *heads, ("data", world.data.described()))
