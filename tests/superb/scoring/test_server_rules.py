"""The server's arithmetic against slow, obvious references, and superb_s against the board's."""

import io
import random

import h5py
import numpy as np
import pytest

from mmpt.superb.scoring.board import board, published, rank, superb_s
from mmpt.superb.scoring.files import Diarization, read_h5, read_rttm, read_shift, read_table
from mmpt.superb.scoring.rules import accuracy, best_setting, diarization, error_rate, turns_of, wrong_seconds
from mmpt.upstream.errors import InputError

from helpers.slow_scores import edits, wrong_by_brute_force


@pytest.mark.parametrize("seed", range(5))
def test_error_rate_is_summed_edits_over_summed_lengths(seed):
    pick = random.Random(seed)
    truth = {f"u{i}": " ".join(pick.choices("ABCDE", k=pick.randint(1, 9))) for i in range(30)}
    predicted = {key: " ".join(pick.choices("ABCDE", k=pick.randint(0, 9))) for key in truth}
    wrong = sum(edits(truth[key].split(), predicted[key].split()) for key in truth)
    assert error_rate(predicted, truth).value == pytest.approx(
        wrong / sum(len(text.split()) for text in truth.values()), abs=1e-12
    )


def test_an_empty_reference_counts_what_was_inserted():
    assert error_rate({"a": "X Y", "b": "A"}, {"a": "", "b": "A B"}).value == pytest.approx(3 / 2)


def test_single_blanks_part_tokens_as_on_the_server():
    """Other white space is part of a word, and between two blanks lies an empty one."""
    assert error_rate({"a": "A\tB"}, {"a": "A B"}).value == 1.0
    assert error_rate({"a": "A\u00a0B"}, {"a": "A\u00a0B C"}).value == 0.5
    assert error_rate({"a": "A  B"}, {"a": "A B"}).value == 0.5
    assert error_rate({"a": "A  B"}, {"a": "A  B"}).value == 0.0
    assert error_rate({"a": "", "b": "A  B"}, {"a": "A", "b": ""}).value == 4.0


def test_missing_ids_are_skipped_and_named():
    found = accuracy({"a": "yes"}, {"a": "yes", "b": "no"})
    assert (found.value, found.scored, found.missing) == (1.0, 1, ["b"])


def test_an_unknown_id_costs_the_task():
    with pytest.raises(InputError, match="'c' is not in the truth"):
        accuracy({"a": "yes", "c": "no"}, {"a": "yes"})


def test_nothing_to_score_is_an_error():
    with pytest.raises(InputError, match="there is no prediction"):
        accuracy({}, {"a": "yes"})
    with pytest.raises(InputError, match="the references hold no word"):
        error_rate({"a": "X"}, {"a": "", "b": "B"})
    assert wrong_seconds([], []) == (0.0, 0.0)
    assert wrong_seconds([(1.0, 1.0, "a"), (1.0, 3.0, "a")], []) == (2.0, 2.0)  # a turn without a length is none


def test_files_of_another_kind_are_named(tmp_path):
    flat = io.BytesIO()
    with h5py.File(flat, "w") as file:
        file["T_hat"] = np.zeros(3)
    with pytest.raises(InputError, match=r"r.h5: T_hat has the shape \(3,\), expected \(frames, speakers\)"):
        read_h5(flat.getvalue(), "r.h5")
    with pytest.raises(InputError, match="r.h5: cannot be read as HDF5"):
        read_h5(b"no table", "r.h5")
    with pytest.raises(InputError, match="frame_shift: must hold one whole number"):
        read_shift(b"16.5\n", "frame_shift")
    turn = "SPEAKER r 1 0.5 2 <NA> <NA> A <NA> <NA>\n"
    assert read_rttm(f"SPKR-INFO r 1\n\n{turn}", tmp_path / "rttm") == {"r": [(0.5, 2.5, "A")]}
    with pytest.raises(InputError, match="rttm"):
        read_rttm(f"{turn}SPEAKER r 1 soon 2 <NA> <NA> A\n", tmp_path / "rttm")


def test_of_two_lines_with_one_id_the_last_counts():
    assert read_table("a yes\nb no\na off\n\nc\n", " ") == {"a": "off", "b": "no", "c": ""}


@pytest.mark.parametrize("seed", range(12))
def test_diarization_error_against_every_mapping(seed):
    pick = random.Random(seed)

    def turns(speakers):
        return [
            (start, start + pick.randint(1, 200) / 100, pick.choice(speakers))
            for start in (pick.randint(0, 800) / 100 for _ in range(9))
        ]

    truth, predicted = turns("AB"), turns("xy")
    assert wrong_seconds(truth, predicted) == pytest.approx(wrong_by_brute_force(truth, predicted), abs=1e-6)


def test_no_turns_miss_all():
    assert wrong_seconds([(0.0, 2.0, "A")], []) == pytest.approx((2.0, 2.0))


def test_turns_are_rounded_to_hundredths_and_smoothed_by_the_median():
    likely = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.1], [0.9, 0.6], [0.9, 0.6]])
    assert turns_of(likely, 0.5, 1, 640) == [(0.0, 0.08, "0"), (0.12, 0.2, "0"), (0.12, 0.2, "1")]
    assert turns_of(likely, 0.7, 3, 640) == [(0.0, 0.2, "0")]  # the gap of one frame is smoothed away
    assert turns_of(likely, 0.95, 1, 640) == []


def test_ten_settings_and_the_best_of_them():
    truth = {"one": [(0.0, 1.0, "A"), (1.0, 2.0, "B")], "two": [(0.0, 2.0, "A")]}
    likely = np.zeros((50, 2))
    likely[:25, 0], likely[25:, 1] = 0.45, 0.9
    errors = diarization(Diarization({"one": likely}, 640), truth, processes=1)
    assert len(errors) == 10
    assert errors[0.3, 1] == pytest.approx(2.0 / 4.0)  # "two" has no prediction, and is missed
    assert errors[0.5, 1] == pytest.approx(3.0 / 4.0)
    assert best_setting(errors) == (0.3, 1)
    with pytest.raises(InputError, match="'three' is not in the truth"):
        diarization(Diarization({"three": likely}, 640), truth)


@pytest.mark.slow
def test_many_recordings_in_several_processes_are_the_same():
    pick = np.random.default_rng(0)
    likely = {f"r{i}": pick.random((20, 2)) for i in range(120)}
    truth = {name: [(0.0, 0.4, "A"), (0.3, 0.7, "B")] for name in likely}
    assert diarization(Diarization(likely, 640), truth, processes=2) == diarization(
        Diarization(likely, 640), truth, processes=1
    )


def test_without_frame_shift_the_server_takes_160():
    truth = {"one": [(0.0, 0.5, "A")]}
    likely = np.full((50, 1), 0.9)
    assert diarization(Diarization({"one": likely}, None), truth, processes=1)[0.5, 1] == pytest.approx(0.0)


@pytest.mark.parametrize("name, expected", [("APC", 425.3), ("HuBERT base", 952.6), ("FBANK", 0.0)])
def test_superb_s_has_the_boards_values(name, expected):
    assert next(row for row in published() if row.name == name).superb_s == pytest.approx(expected, abs=0.05)


def test_superb_s_needs_all_five_tasks():
    assert superb_s({"ks": 90.0, "ic": 90.0, "pr": 5.0, "sd": 6.0}) is None


def test_rank_counts_who_is_better():
    assert rank(1e9) == 1
    assert rank(-1.0) == len(board()["rows"]) + 1
    assert rank(900.0) == 1 + sum(row.superb_s > 900 for row in published())
