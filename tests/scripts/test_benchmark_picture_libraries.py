"""The benchmark of picture libraries runs, on pictures that are too few to mean anything, and is fair."""

import re

import numpy
import torch

from mmpt.scripts.benchmark import picture_libraries, picture_sides, synthetic_media


def test_all_sides_are_compared(monkeypatch, capsys):
    for name, value in {"WIDTH": 64, "HEIGHT": 48}.items():
        monkeypatch.setattr(synthetic_media, name, value)
    for name, value in {"SIZES": (32,), "PICTURES": 4, "CLIPS": 1, "CLIP_S": 2}.items():
        monkeypatch.setattr(picture_sides, name, value)
    threads = torch.get_num_threads()
    try:
        assert picture_libraries.main(["--rounds", "1", "--workers", "0"]) == 0
    finally:
        torch.set_num_threads(threads)
    told = capsys.readouterr().out
    assert "decode 4 JPEG, short side at most 40" in told and "read 4 clips from shards, 0 DataLoader workers" in told
    assert len(re.findall(r"^  torchvision over (PyAV|torch): [\d.]+ \([\d.]+ to [\d.]+\)$", told, re.MULTILINE)) == 3
    (difference,) = re.findall(r"values differ by ([\d.]+) of 255 on average", told)
    assert float(difference) < 3  # both decoded the same pictures


def test_both_sides_crop_the_same_places():
    pictures = [numpy.random.default_rng(n).integers(0, 256, (40, 52, 3), dtype=numpy.uint8) for n in range(2)]
    side = len(picture_sides.cut(pictures)[0, 0])
    ours, other = (
        crop(pictures, side) for crop in (picture_sides.crop_with_torch, picture_sides.crop_with_torchvision)
    )
    assert ours.shape == (2, side, side, 3) and side == 34
    assert torch.equal(ours, other)  # nothing is resized: only the place and the flip are left
    assert ours[0, 0, -1].tolist() == pictures[0][4, 5].tolist()


def test_sides_take_turns_and_the_first_round_does_not_count(capsys):
    order, now = [], iter(range(100))
    sides = {name: (lambda name=name: order.append(name) or name) for name in ("other", "ours")}
    assert picture_sides.in_turn("title", sides, 2, lambda: next(now)) == ["other", "ours"]
    assert order == ["ours", "other", "other", "ours", "ours", "other"]
    assert "ours over other: 1 (1 to 1)" in capsys.readouterr().out


def test_bad_input_is_one_line(capsys):
    assert picture_libraries.main(["--rounds", "0"]) == 2
    assert capsys.readouterr().err == "error: --rounds must be at least 1, not 0\n"
