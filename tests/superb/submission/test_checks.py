"""Each kind of corrupted prediction is named, and a good one passes."""

import io

import h5py
import numpy as np
import pytest

from mmpt.superb.submission.checks import check_diarization, check_table

GOOD = {
    "ks": (b"up-a.wav up\nno-b.wav _unknown_\n", ["up-a.wav", "no-b.wav"], [{"up", "no", "_unknown_"}]),
    "ic": (
        b"a1,increase,volume,none\na2,decrease,heat,kitchen\n",
        ["a1", "a2"],
        [{"increase", "decrease"}, {"volume", "heat"}, {"none", "kitchen"}],
    ),
    "pr": (b"u1 AH0 B\nu2 SIL\nu3\n", ["u1", "u2", "u3"], [{"AH0", "B", "SIL"}]),
    "asr": (b"u1 IT'S A\nu2 B\n", ["u1", "u2"], [set("ABITS'")]),
}


@pytest.mark.parametrize("task", GOOD)
def test_good_tables_pass(task):
    content, ids, labels = GOOD[task]
    assert check_table(task, task, content, ids, labels) == []


@pytest.mark.parametrize(
    "task, content, message",
    [
        ("ks", b"up-a.wav up\n", "1 ids are missing: no-b.wav"),
        (
            "ks",
            b"up-a.wav up\nno-b.wav no\nx.wav up\n",
            "1 ids are not in the test set (the server would drop the task): x.wav",
        ),
        (
            "ks",
            b"up-a.wav up\nno-b.wav no\nup-a.wav no\n",
            "1 ids occur more than once (the server would take the last): up-a.wav",
        ),
        ("ks", b"up-a.wav up\nno-b.wav maybe\n", "1 labels that are no class: maybe"),
        ("ks", b"up-a.wav up\nno-b.wav\n", "1 labels that are no class: (nothing)"),
        ("ks", b"", "is empty"),
        ("ks", b"up-a.wav up\nno-b.wav no\n\x00\x01\x02", "libmagic calls it application/octet-stream"),
        ("ks", "up-a.wav up\nno-b.wav nö\n".encode("latin-1"), "not UTF-8"),
        ("ks", "up-a.wav up\nno-b.wav no\n".encode("utf-16"), "not UTF-8"),
        (
            "ic",
            b"a1,increase,volume,none\na2,decrease,heat\n",
            "1 intents with a value outside the inventory: decrease,heat",
        ),
        ("ic", b"a1,increase,volume,none\na2,decrease,soap,kitchen\n", "outside the inventory: decrease,soap,kitchen"),
        ("pr", b"u1 AH0 B\nu2 SIL XX\nu3\n", "1 phones outside the inventory: XX"),
        ("asr", b"u1 IT'S A\nu2 b\n", "1 characters outside the dictionary: b"),
    ],
)
def test_each_fault_of_a_table_is_named(task, content, message):
    _, ids, labels = GOOD[task]
    assert any(message in line for line in check_table(task, task, content, ids, labels))


def h5(table, name="T_hat") -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        content[name] = np.asarray(table, dtype=np.float32)
    return file.getvalue()


def likely(frames, speakers=2, value=0.5):
    return np.full((frames, speakers), value)


def test_good_diarization_passes_also_with_a_padded_last_chunk():
    files = {"a.h5": h5(likely(25)), "b.h5": h5(likely(26)), "long.h5": h5(likely(150)), "trimmed.h5": h5(likely(101))}
    assert check_diarization(files, b"640\n", {"a": 1.0, "b": 1.01, "long": 4.04, "trimmed": 4.04}, chunk=50) == []


@pytest.mark.parametrize(
    "content, shift, message",
    [
        (h5(likely(25, value=1.2)), b"640", "no probabilities"),
        (h5(likely(25, value=float("nan"))), b"640", "no probabilities"),
        (h5(likely(25, speakers=3)), b"640", "3 speakers, expected 2"),
        (h5(likely(24)), b"640", "24 frames of 640 samples, but 1.00 s are 25"),
        (h5(likely(27)), b"640", "27 frames of 640 samples, but 1.00 s are 25"),
        (h5(likely(25)), b"320", "25 frames of 320 samples, but 1.00 s are 50"),
        (h5(likely(25)), None, "frame_shift is missing (the server would take 160)"),
        (h5(likely(25)), b"40 ms", "must hold one whole number"),
        (h5(likely(25)), b"0", "frame_shift is 0"),
        (h5(likely(25), name="other"), b"640", "cannot be read as HDF5 with a table T_hat"),
        (b"no HDF5", b"640", "cannot be read as HDF5"),
    ],
)
def test_each_fault_of_diarization_is_named(content, shift, message):
    assert any(message in line for line in check_diarization({"a.h5": content}, shift, {"a": 1.0}, chunk=2000))


def test_recordings_that_are_missing_or_unknown_are_named():
    wrong = check_diarization({"b.h5": h5(likely(25))}, b"640", {"a": 1.0}, chunk=2000)
    assert any("1 ids are missing: a" in line for line in wrong) and any(
        "not in the test set" in line and "b" in line for line in wrong
    )
