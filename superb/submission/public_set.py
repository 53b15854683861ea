"""Collect predict.zip: the best checkpoints' test predictions, in the folders where the leaderboard's server looks."""

import zipfile
from pathlib import Path

from mmpt.superb.data_checks.published import BOARD_LEXICONS, PUBLISHED_TEST
from mmpt.superb.scoring.board import FIVE
from mmpt.superb.scoring.layout import PUBLIC, SD_FRAME_SHIFT, SD_PREDICTIONS
from mmpt.superb.statistics.reading import check_scored, read_items
from mmpt.superb.submission.checks import check_diarization, check_table
from mmpt.superb.submission.run_results import EncoderResults, TaskResult
from mmpt.superb.submission.test_sets import TestSet, read_test_set
from mmpt.upstream.errors import InputError

MOST_BYTES = 50 * 10**6  # of a zip file that the server takes
WRITTEN_BY_S3PRL = {
    "pr": "test-hyp.ark",
    "asr": "test-clean-noLM-hyp.ark",
    "asr_lm": "test-clean-LM-hyp.ark",
    "ks": "test_predict.txt",
    "ic": "test_predict.csv",
}
EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed date, the oldest that zip knows: equal predictions give equal bytes


def collect(results: EncoderResults) -> dict[str, bytes]:
    """Return path in predict.zip → content. ASR's predictions with a language model are taken too if available.

    Raises:
        InputError: a file that S3PRL writes is missing.
    """
    files: dict[str, bytes] = {}
    for task, result in results.tasks.items():
        if task == "sd":
            files |= _diarization(result)
            continue
        files[PUBLIC[task]] = _read(result.experiment / WRITTEN_BY_S3PRL[task])
        with_model = result.experiment / WRITTEN_BY_S3PRL["asr_lm"]
        if task == "asr" and with_model.is_file():
            files[PUBLIC["asr_lm"]] = _read(with_model)
    return files


def check(files: dict[str, bytes], results: EncoderResults) -> tuple[list[str], list[str]]:
    """Return (faults of the predictions, obstacles to submitting them although they are right), one line each."""
    missing = [task for task in FIVE if task not in results.tasks]
    faults: list[str] = []
    obstacles = [f"{task}: no predictions, and the public set wants five tasks" for task in missing]
    for task, result in results.tasks.items():
        test_set = read_test_set(task, result.config)
        faults += _check_task(task, files, test_set) or _check_scores(result)
        obstacles += [f"{task}: {line}" for line in _obstacles(task, result, test_set)]
    return faults, obstacles


def _check_scores(result: TaskResult) -> list[str]:
    """Return a line if the predictions are not those that were scored."""
    try:
        for split, scored in result.scores.items():
            check_scored(scored, read_items(result.experiment, result.task, split), result.folder)
    except InputError as error:
        return [f"{result.task}: {error}"]
    return []


def _obstacles(task: str, result: TaskResult, test_set: TestSet) -> list[str]:
    """Return why a task's predictions are not of the leaderboard's protocol."""
    lines = []
    if len(test_set.ids) != PUBLISHED_TEST[task]:
        lines.append(f"{len(test_set.ids):,} test items, and the leaderboard's set has {PUBLISHED_TEST[task]:,}")
    if result.is_smoke:
        lines.append("trained with the samples' settings or fewer steps, not the task's own")
    if not result.is_best:
        lines.append("S3PRL wrote no best checkpoint, and the last one stood in")
    if result.fine_tuned:
        lines.append("the encoder was fine-tuned, and the constrained track wants a frozen one")
    if result.changed:
        changes = ", ".join(result.changed)
        lines.append(f"settings were changed, which is not the constrained track's protocol: {changes}")
    if task == "pr":
        lexicons = [Path(file).name for file in result.config["downstream_expert"]["corpus"]["lexicon"]]
        if lexicons and lexicons != BOARD_LEXICONS:
            lines.append(f"the lexicon is {', '.join(lexicons)}, not S3PRL's two")
    return lines


def write_zip(files: dict[str, bytes], path: Path) -> None:
    """Write the zip file; equal content gives equal bytes. Raises InputError if the server would find it too large."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            archive.writestr(info, content)
    if path.stat().st_size >= MOST_BYTES:
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        raise InputError(f"{path}: is {size}, and the server takes less than {MOST_BYTES // 10**6} MB")


def _check_task(task: str, files: dict[str, bytes], test_set: TestSet) -> list[str]:
    if task == "sd":
        predictions = {Path(name).name: content for name, content in files.items() if name.startswith(SD_PREDICTIONS)}
        return check_diarization(predictions, files.get(SD_FRAME_SHIFT), test_set.seconds, test_set.chunk)
    names = [PUBLIC[task], *([PUBLIC["asr_lm"]] if task == "asr" and PUBLIC["asr_lm"] in files else [])]
    return [line for name in names for line in check_table(task, name, files[name], test_set.ids, test_set.labels)]


def _diarization(result: TaskResult) -> dict[str, bytes]:
    predictions = sorted((result.experiment / "scoring" / "predictions").glob("*.h5"))
    files = {SD_PREDICTIONS + file.name: _read(file) for file in predictions}
    shift = result.experiment / "frame_shift"  # if it is missing, the check reports it
    return files | ({SD_FRAME_SHIFT: _read(shift)} if shift.is_file() else {})


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; S3PRL writes it when the best checkpoint is evaluated") from None
