"""predict.zip: the test predictions of a run's best checkpoints, in the folders where the leaderboard's server looks for them."""

import zipfile
from pathlib import Path

from mmpt.superb.data_checks import BOARD_LEXICONS
from mmpt.superb.scoring.board import FIVE
from mmpt.superb.scoring.files import PUBLIC, SD_FRAME_SHIFT, SD_PREDICTIONS
from mmpt.superb.submission.checks import check_diarization, check_table
from mmpt.superb.submission.task_results import Outcome, Outcomes
from mmpt.superb.submission.test_sets import PUBLISHED_TEST, Expected, expected
from mmpt.upstream.errors import InputError

MOST_BYTES = 50 * 10**6  # of the zip file, that the server takes
WRITTEN_BY_S3PRL = {
    "pr": "test-hyp.ark",
    "asr": "test-clean-noLM-hyp.ark",
    "asr_lm": "test-clean-LM-hyp.ark",
    "ks": "test_predict.txt",
    "ic": "test_predict.csv",
}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date that a zip file can hold: equal predictions are equal bytes


def collect(outcomes: Outcomes) -> dict[str, bytes]:
    """Path in predict.zip → content. ASR's with a language model is taken where it is there.

    Raises:
        InputError: a file that S3PRL writes is missing.
    """
    files: dict[str, bytes] = {}
    for task, outcome in outcomes.tasks.items():
        if task == "sd":
            files |= _diarization(outcome)
            continue
        files[PUBLIC[task]] = _read(outcome.experiment / WRITTEN_BY_S3PRL[task])
        with_model = outcome.experiment / WRITTEN_BY_S3PRL["asr_lm"]
        if task == "asr" and with_model.is_file():
            files[PUBLIC["asr_lm"]] = _read(with_model)
    return files


def check(files: dict[str, bytes], outcomes: Outcomes) -> tuple[list[str], list[str]]:
    """(what is wrong with the predictions, why they cannot be submitted although they are right)."""
    wrong, why_not = (
        [],
        [f"{task}: no predictions, and the public set wants five tasks" for task in FIVE if task not in outcomes.tasks],
    )
    for task, outcome in outcomes.tasks.items():
        known = expected(task, outcome.config)
        wrong += _check_task(task, files, known)
        if len(known.ids) != PUBLISHED_TEST[task]:
            why_not.append(
                f"{task}: {len(known.ids):,} test items, and the leaderboard's set has {PUBLISHED_TEST[task]:,}"
            )
        if outcome.is_smoke:
            why_not.append(f"{task}: trained with the samples' settings or fewer steps, not the task's own")
        if not outcome.is_best:
            why_not.append(f"{task}: S3PRL wrote no best checkpoint, and the last one stood in")
        if outcome.fine_tuned:
            why_not.append(f"{task}: the encoder was fine-tuned, and the constrained track wants a frozen one")
        if outcome.changed:
            why_not.append(
                f"{task}: settings were changed, which is not the constrained track's protocol: {', '.join(outcome.changed)}"
            )
        lexicons = (
            [Path(file).name for file in outcome.config["downstream_expert"]["corpus"]["lexicon"]]
            if task == "pr"
            else []
        )
        if lexicons and lexicons != BOARD_LEXICONS:
            why_not.append(f"pr: the lexicon is {', '.join(lexicons)}, not S3PRL's two")
    return wrong, why_not


def write_zip(files: dict[str, bytes], path: Path) -> None:
    """Writes the zip file; equal content gives equal bytes. Raises InputError where it is larger than the server takes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            archive.writestr(info, content)
    if path.stat().st_size >= MOST_BYTES:
        raise InputError(
            f"{path}: is {path.stat().st_size / 1e6:.1f} MB, and the server takes less than {MOST_BYTES // 10**6} MB"
        )


def _check_task(task: str, files: dict[str, bytes], known: Expected) -> list[str]:
    if task == "sd":
        predictions = {Path(name).name: content for name, content in files.items() if name.startswith(SD_PREDICTIONS)}
        return check_diarization(predictions, files.get(SD_FRAME_SHIFT), known.seconds, known.chunk)
    names = [PUBLIC[task], *([PUBLIC["asr_lm"]] if task == "asr" and PUBLIC["asr_lm"] in files else [])]
    return [line for name in names for line in check_table(task, name, files[name], known.ids, known.labels)]


def _diarization(outcome: Outcome) -> dict[str, bytes]:
    predictions = sorted((outcome.experiment / "scoring" / "predictions").glob("*.h5"))
    shift = outcome.experiment / "frame_shift"  # where it is missing, the check says so
    return {SD_PREDICTIONS + file.name: _read(file) for file in predictions} | (
        {SD_FRAME_SHIFT: _read(shift)} if shift.is_file() else {}
    )


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; S3PRL writes it when the best checkpoint is evaluated") from None
