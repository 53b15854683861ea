"""Train one encoder of a study by the commands of stages 1 and 2, and translate the test with a mid-trained one."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mmpt.study.pairs import translation_pairs
from mmpt.study.plan import Plan, Stage, StudyEncoder
from mmpt.study.progress import Part
from mmpt.study.record import Bleu, TranslationTest
from mmpt.study.world import World
from mmpt.training.stage_commands import Output, run_command, train
from mmpt.upstream.files import write_text
from mmpt.upstream.repository import REPOSITORY

TEST = "tst-COMMON"
MINUTES = "minutes"  # file in a run's folder: how long the training took, in all calls together
TRAINED_SHARE = 0.9  # of the time of a mid-trained encoder; the rest is translating
SHORT_SEARCH = ["--beam", "1", "--max-tokens", "20"]  # after one update, no sentence ends before the longest allowed


def train_encoder(plan: Plan, encoder: StudyEncoder, world: World, steps: int, part: Part) -> None:
    """Train an encoder, or go on where an earlier call was interrupted. Exits if the command fails.

    Args:
        steps: updates of its last stage.
        part: shows how far it is.
    """
    if encoder.kind == "untrained":
        if not world.encoder_file(encoder.name).is_file():
            options = ["--untrained", plan.preset, "--seed", str(encoder.seed)]
            out = str(world.encoder_file(encoder.name))
            run_command("scripts/export.py", *options, "--out", out, output=Output(world.log(encoder.name)))
        return
    folder = world.folder(encoder.name)
    stage, command = plan.midtrain if encoder.language else plan.pretrain, _command(plan, encoder, world)
    settings = [f"preset={plan.preset}", f"seed={encoder.seed}", *stage.settings, *_lengths(stage, steps)]
    share = TRAINED_SHARE if encoder.language else 1.0
    config = REPOSITORY / stage.config
    depends_on = json.dumps([settings, _origin(encoder, world)])
    with timed(folder) as note_time:

        def look() -> None:
            part.reach(share * _steps_done(folder) / steps)
            note_time()

        output = Output(world.log(encoder.name), look)
        train([*command, *settings, f"device={world.device}"], folder, config, depends_on, output, world.threads)
    if encoder.language:
        translate(encoder, world, part)


@contextmanager
def timed(folder: Path) -> Iterator[Callable[[], None]]:
    """Time a training in this block, in a file of its run folder; give a function that notes the time so far.

    The time of earlier calls is added. A training that starts again has deleted it with the folder; one that was there
    already takes none.
    """
    made, earlier, started = folder / "encoder.pt", None, time.monotonic()
    found = made.stat().st_mtime_ns if made.is_file() else None

    def note() -> None:
        nonlocal earlier
        was_there = found is not None and made.is_file() and made.stat().st_mtime_ns == found
        if folder.is_dir() and not was_there:
            if earlier is None:
                earlier = minutes(folder) or 0.0
            write_text(folder / MINUTES, f"{earlier + (time.monotonic() - started) / 60:.3f}\n")

    try:
        yield note
    finally:
        note()


def minutes(folder: Path) -> float | None:
    """Return how long the training of a run took, translating left out; None if it was not timed."""
    file = folder / MINUTES
    return float(file.read_text(encoding="utf-8")) if file.is_file() else None


def keep_minutes(folder: Path, known: float | None) -> None:
    """Note a time that study.json has in a run folder without one, before its training goes on."""
    if known and folder.is_dir() and minutes(folder) is None:
        write_text(folder / MINUTES, f"{known:.3f}\n")


def translate(encoder: StudyEncoder, world: World, part: Part) -> None:
    """Translate the test, and score it in RUN/translate/tst-COMMON; shortly, if the study only tries a plan."""
    folder = world.folder(encoder.name)
    if not (folder / "translate" / TEST / "scores.json").is_file():
        arguments = [str(folder), "--split", TEST, "--data", str(world.data.must_c), "--fresh"]
        arguments += ["--device", world.device]
        arguments += SHORT_SEARCH if world.steps else []
        output = Output(world.log(encoder.name), lambda: part.reach(TRAINED_SHARE))  # the line's time goes on
        run_command("midtrain/translate.py", *arguments, output=output, threads=world.threads)


def bleu(encoder: StudyEncoder, world: World) -> Bleu | None:
    """Return the BLEU of a mid-trained encoder's translations with its interval, once they are there."""
    file = world.folder(encoder.name) / "translate" / TEST / "scores.json"
    if not encoder.language or not file.is_file():
        return None
    found = json.loads(file.read_text(encoding="utf-8"))
    low, high = found["bleu_interval"] or (0.0, 100.0)
    return Bleu(found["bleu"], low, high)


def translation_tests(encoders: Sequence[StudyEncoder], world: World) -> tuple[TranslationTest, ...]:
    """Return the paired tests by BLEU of the declared pairs that have been translated."""
    from mmpt.midtrain.comparison import compare, read_translations

    tests = []
    for pair in translation_pairs(encoders):
        folders = [world.folder(name) / "translate" / TEST for name in pair]
        if all((folder / "scores.json").is_file() for folder in folders):
            by_bleu = next(c for c in compare(*map(read_translations, folders)) if c.name == "BLEU")
            tests.append(TranslationTest(*pair, by_bleu.p))
    return tuple(tests)


def _command(plan: Plan, encoder: StudyEncoder, world: World) -> list[str]:
    """Return the training command, without settings."""
    if encoder.language:
        start = str(world.encoder_file(encoder.start)) if encoder.start else "none"
        options = ["--target-lang", encoder.language, "--init", start, "--data", str(world.data.must_c)]
        return ["midtrain/run.py", *options]
    sets = [] if encoder.data == "all" else [f"data.sets=[{encoder.data}]"]
    return ["pretrain/run.py", "--objective", str(encoder.objective), "--data", str(world.data.clips), *sets]


def _lengths(stage: Stage, steps: int) -> list[str]:
    """Return the settings that follow from the number of updates: a warm-up of at most a tenth, ten validations."""
    tenth = max(1, steps // 10)
    return [
        f"optim.steps={steps}",
        f"optim.warmup_steps={tenth}",
        f"validate_every={tenth}",
        f"checkpoint_every={tenth}",
    ]


def _origin(encoder: StudyEncoder, world: World) -> list[str]:
    """Return what the result depends on besides settings: the data, and the encoder it begins with."""
    from mmpt.upstream.mmpt_av.checkpoint import file_hash

    start = [file_hash(world.encoder_file(encoder.start))] if encoder.language and encoder.start else []
    return [world.data.versions(), str(encoder.objective), str(encoder.data), str(encoder.language), *start]


def _steps_done(folder: Path) -> int:
    """Return the last update that the run's log has."""
    try:
        *_, last = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return int(json.loads(last).get("step", 0))
    except (OSError, ValueError):
        return 0
