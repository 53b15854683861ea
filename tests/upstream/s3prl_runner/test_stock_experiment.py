"""Best checkpoints and scores of an experiment folder, without S3PRL."""

import jiwer
import numpy as np
import pytest

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.experiment import best_checkpoint, last_checkpoint, score
from mmpt.upstream.s3prl_runner.tasks import TASKS, find_task


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_last_checkpoint_replaces_a_missing_best_one_and_is_marked(task, tmp_path):
    for name in ("states-900.ckpt", "states-1000.ckpt", "states-x.ckpt"):
        (tmp_path / name).touch()
    assert best_checkpoint(tmp_path, task.name) == (tmp_path / "states-1000.ckpt", False)
    (tmp_path / task.best_checkpoint).touch()
    for name in (task.name, task.downstream, None):
        assert best_checkpoint(str(tmp_path), name) == (tmp_path / task.best_checkpoint, True)


def test_no_checkpoint_is_an_error(tmp_path):
    with pytest.raises(InputError, match="holds no checkpoint"):
        last_checkpoint(tmp_path)
    with pytest.raises(InputError, match="no such experiment"):
        best_checkpoint(tmp_path / "no", "ks")


def test_accuracy_is_counted_line_by_line(tmp_path):
    (tmp_path / "test_predict.txt").write_text("yes-a.wav yes\nno-b.wav up\nno-b.wav no\n_silence_-c.wav go\n")
    (tmp_path / "test_truth.txt").write_text("yes-a.wav yes\nno-b.wav no\nno-b.wav no\n_silence_-c.wav _silence_\n")
    assert score(tmp_path, "ks") == {"acc": 0.5, "utterances": 4}
    (tmp_path / "valid_predict.csv").write_text("a,x,y,z\nb,x,y,z\n")
    (tmp_path / "valid_truth.csv").write_text("a,x,y,z\nb,x,y,q\n")
    assert score(tmp_path, "fluent_commands", "valid") == {"acc": 0.5, "utterances": 2}


def test_error_rates_are_summed_over_the_split(tmp_path):
    hypotheses, references = ["THE CAT", "", "A A"], ["THE CAT SAT ON", "NO", "A"]
    for kind, texts in (("hyp", hypotheses), ("ref", references)):
        lines = "".join(f"utt{index} {text}\n" for index, text in enumerate(texts))
        (tmp_path / f"test-clean-noLM-{kind}.ark").write_text(lines)
        (tmp_path / f"test-{kind}.ark").write_text(lines)
    found = score(tmp_path, "asr")
    assert found == {"wer": 4 / 6, "cer": pytest.approx(jiwer.cer(references, hypotheses)), "utterances": 3}
    assert found["cer"] == pytest.approx((7 + 2 + 2) / 17)
    assert score(tmp_path, "pr") == {"per": 4 / 6, "utterances": 3}


def test_missing_or_unequal_files_are_errors(tmp_path):
    with pytest.raises(InputError, match="test_predict.txt: No such file.*-m evaluate"):
        score(tmp_path, "ks")
    (tmp_path / "test-hyp.ark").write_text("a X\n")
    (tmp_path / "test-ref.ark").write_text("b X\n")
    with pytest.raises(InputError, match="do not hold the same utterances"):
        score(tmp_path, "pr")
    with pytest.raises(InputError, match="'emotion' is none of the tasks"):
        score(tmp_path, "emotion")


def diarization_experiment(folder, predictions, chunk=2000):
    """Make an experiment with one recording of 1 s (10 frames): first half speaker a, second half speaker b."""
    h5py = pytest.importorskip("h5py")
    data = folder / "data"
    data.mkdir()
    (data / "segments").write_text("r_a r 0.0 0.5\nr_b r 0.5 1.0\n")
    (data / "utt2spk").write_text("r_a a\nr_b b\n")
    (data / "reco2dur").write_text("r 1.0\n")
    (folder / "frame_shift").write_text("1600\n")
    (folder / "config_2026.yaml").write_text(
        f"downstream_expert: {{datarc: {{chunk_size: {chunk}}}, loaderrc: {{test_dir: {data}}}}}\n"
    )
    (folder / "scoring" / "predictions").mkdir(parents=True)
    with h5py.File(folder / "scoring" / "predictions" / "r.h5", "w") as file:
        file["T_hat"] = predictions


def halves():
    predictions = np.full((10, 2), 0.1, dtype=np.float32)
    predictions[:5, 1] = predictions[5:, 0] = 0.9  # the speakers in the other order
    return predictions


def test_diarization_takes_the_better_order_of_speakers(tmp_path):
    diarization_experiment(tmp_path, halves())
    assert score(tmp_path, "sd") == {"der": 0.0, "acc": 1.0, "utterances": 1}


def test_diarization_counts_missed_false_and_confused(tmp_path):
    predictions = halves()
    predictions[0] = 0.1  # missed
    predictions[1] = 0.9  # one false alarm
    predictions[2] = predictions[2][::-1]  # confused
    diarization_experiment(tmp_path, predictions)
    found = score(tmp_path, "sd")
    assert found["der"] == pytest.approx(3 / 10) and found["acc"] == pytest.approx(1 - 4 / 20)


def test_diarization_padding_of_the_last_chunk_is_not_scored(tmp_path):
    diarization_experiment(tmp_path, np.concatenate([halves(), np.full((2, 2), 0.9)]), chunk=6)
    found = score(tmp_path, "sd")
    assert found == {"der": 0.0, "acc": 1.0, "utterances": 1}


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("data/reco2dur", "other 1.0\n", "r.h5: this recording is not in "),
        ("data/segments", "r_a r 0.0\n", "data: cannot be read as a Kaldi folder"),
        ("data/utt2spk", "r_a a\n", "data: cannot be read as a Kaldi folder \\('r_b'"),
        ("data/reco2dur", "r one\n", "data: cannot be read as a Kaldi folder"),
        ("config_2026.yaml", None, "no diarization predictions"),
    ],
)
def test_diarization_files_that_do_not_fit_are_named(tmp_path, name, content, message):
    diarization_experiment(tmp_path, halves())
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        score(tmp_path, "sd")


def test_lines_of_another_number_are_not_scored(tmp_path):
    (tmp_path / "test_predict.txt").write_text("yes\nno\n")
    (tmp_path / "test_truth.txt").write_text("yes\n")
    with pytest.raises(InputError, match="test_predict.txt: 2 lines, but 1 in test_truth.txt"):
        score(tmp_path, "ks")


def test_tasks_are_found_by_both_names():
    assert {find_task(task.downstream) for task in TASKS} == set(TASKS) and find_task(None) is None
