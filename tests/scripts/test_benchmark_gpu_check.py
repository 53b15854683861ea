"""The check of a GPU runs in small on a processor, in a Python without what it must do without."""

import json
import os
import re
import subprocess
from html.parser import HTMLParser

import pytest

from mmpt.scripts.benchmark import gpu_check
from mmpt.scripts.benchmark.gpu.aims import aims_of
from mmpt.scripts.benchmark.gpu.clock import Clock
from mmpt.scripts.benchmark.gpu.page import show, words
from mmpt.scripts.benchmark.gpu.profiling import union
from mmpt.scripts.benchmark.gpu.record import Record
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY

from helpers.forked_python import REAL_PYTHON

# Read by Python when it starts: neither the project nor these libraries are installed.
SITE = """
import sys
from importlib.machinery import PathFinder

MISSING = {"mmpt", "av", "h5py", "jiwer", "matplotlib", "s3prl", "sacrebleu", "scipy", "sentencepiece", "soundfile",
           "tensorboard"}

class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in MISSING else super().find_spec(name, path, target)

sys.meta_path[:] = [one for one in sys.meta_path if getattr(one, "__module__", "") == "_frozen_importlib"] + [Bare]
"""
ABOUT = {"card": "NVIDIA H100 80GB HBM3", "commit": "abc", "torch": "2.11.0", "small": False}
PARTS = [("training", "clr"), ("training", "mae")]


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """Return the folder of a small check, and what it printed."""
    folder = tmp_path_factory.mktemp("check")
    (folder / "sitecustomize.py").write_text(SITE)
    command = [REAL_PYTHON, str(REPOSITORY / "scripts/benchmark/gpu_check.py"), "--device", "cpu", "--small"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*command, "--out", str(folder / "out")], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return folder / "out", result.stdout


@pytest.fixture(scope="module")
def figures(checked) -> dict:
    return json.loads((checked[0] / "gpu.json").read_text())


@pytest.mark.slow
def test_every_part_has_figures_or_a_reason(figures):
    measured = {f"{item}.{part}" for item, parts in figures["items"].items() for part in parts}
    assert measured | set(figures["not_run"]) == {
        f"{name}.{part}" for name, item in gpu_check.ITEMS.items() for part in item.parts
    }
    assert set(figures["not_run"].values()) == {"s3prl is not installed"}
    assert set(figures["not_run"]) == {"superb.ks", "superb.asr"}


@pytest.mark.slow
def test_results_agree(figures):
    agreement = figures["items"]["agreement"]
    for name in ("states", "gradients"):
        assert agreement["float32"][f"{name}_in_a_batch_against_alone"] < 1e-6
        assert agreement["bfloat16"][f"{name}_against_cpu"] < 1e-2
    assert figures["items"]["compiled"]["encoder"]["uncompiled"]["gradients_against_cpu"] < 2e-2
    assert agreement["attention"]["padded_float32"]["gradient"] < 1e-6
    assert abs(agreement["dropout"]["deviations_off"]) < 4
    assert agreement["dropout"]["masks_of_the_backward_pass_differ_in"] == 0


@pytest.mark.slow
def test_steps_are_counted_and_timed(figures):
    for objective in gpu_check.OBJECTIVES:
        training, profile = (figures["items"][item][objective] for item in ("training", "profile"))
        assert training["gflop_a_unit"] > 0 and training["rounds"] == 1
        assert training["after"]["units_per_s"] > 0 and training["before"]["mfu_percent"] > 0
        assert 0 < profile["front_end_percent"] < 60 and 0 < profile["busy_percent"] <= 100
        assert profile["kernels"][0]["share_percent"] >= profile["kernels"][-1]["share_percent"] > 0
    assert figures["items"]["peer"]["ragged"]["training"]["ratio"] > 0
    decoding = figures["items"]["decoding"]["jpeg"]
    assert decoding["mean_difference"] == 0 and decoding["same_pixels_beside_an_update"]
    assert decoding["gpu_clips_per_s"] > 0 and decoding["clips"] == 2
    assert figures["items"]["hubert"]["float32"]["hubert_over_ours"] > 0
    assert figures["items"]["grid"]["eager"]["ragged_over_equal"] > 0
    assert figures["items"]["grid"]["checkpoint"]["with"]["clips_per_s"] > 0
    assert all(figures["items"]["memory"][objective]["estimate_gb"] > 0 for objective in gpu_check.OBJECTIVES)


@pytest.mark.slow
def test_a_killed_run_gives_the_same_bits(figures):
    killed = figures["items"]["resume"]["kill"]
    assert killed["resumed_at_step"] <= killed["killed_after_step"] < killed["steps"]
    assert killed["resumed_against_unbroken"] == {
        "same_steps_logged": True,
        "largest_difference_of_a_loss": 0.0,
        "difference_of_weights": 0.0,
        "same_bits": True,
    }


@pytest.mark.slow
def test_the_page_is_whole_and_needs_nothing_else(checked):
    out, told = checked
    text = (out / "gpu.html").read_text()
    assert not re.search(r"(src|href)=|url\(|@import", text)
    seen: list[str] = []
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, attributes: seen.append(tag)
    reader.feed(text)
    assert seen.count("table") >= 15 and "Kernels: mae+clr" in text
    for title in ("Agreement", "Training", "Resume", "Profile", "Not run"):
        assert f"\n{title}\n" in told and f"<h2>{title}</h2>" in text


def test_chosen_parts_keep_their_order():
    assert gpu_check.chosen_parts(["profile", "agreement.dropout", "training.mae"]) == [
        ("agreement", "dropout"),
        ("profile", "clr"),
        ("training", "mae"),
        ("profile", "mae"),
        ("profile", "mae+clr"),
        ("profile", "stage2"),
    ]
    assert len(gpu_check.chosen_parts([])) == sum(len(item.parts) for item in gpu_check.ITEMS.values())


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--only", "training.mea"], "there is no training.mea; did you mean training.mae?"),
        (["--minutes", "0"], "--minutes must be above 0, not 0"),
        ([], "--device cuda: there is none here"),
    ],
)
def test_bad_input_is_one_line(arguments, message, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu_check.main(["--out", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_second_call_adds_to_the_first(tmp_path):
    file = tmp_path / "gpu.json"
    first = Record(file, ABOUT, PARTS)
    first.add("training", "clr", {"ratio": 2.0, "after": {"mfu_percent": float("nan")}})
    first.leave_out("training", "mae", "no time left")
    second = Record(file, {**ABOUT, "date": "later"}, PARTS)
    assert second.not_run == {"training.mae": "not reached"}
    second.leave_out("training", "clr", "not asked for (--only)")  # its figures stay
    second.add("training", "mae", {"ratio": 3.0})
    assert json.loads(file.read_text()) == {
        "about": {**ABOUT, "date": "later"},
        "items": {"training": {"clr": {"ratio": 2.0, "after": {"mfu_percent": "nan"}}, "mae": {"ratio": 3.0}}},
        "not_run": {},
    }


@pytest.mark.parametrize("name, value", [("commit", "def"), ("card", "NVIDIA A100-SXM4-80GB"), ("small", True)])
def test_figures_of_another_card_or_commit_are_not_mixed(tmp_path, name, value):
    Record(tmp_path / "gpu.json", ABOUT, PARTS).write()
    with pytest.raises(InputError, match=f"has figures of {name} {ABOUT[name]}, this is {value}"):
        Record(tmp_path / "gpu.json", {**ABOUT, name: value}, PARTS)


def test_a_damaged_record_is_an_error(tmp_path):
    (tmp_path / "gpu.json").write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        Record(tmp_path / "gpu.json", ABOUT, PARTS)


def test_aims_are_an_h100_s(tmp_path):
    record = Record(tmp_path / "gpu.json", ABOUT, PARTS)
    record.items = {
        "training": {"mae": {"after": {"mfu_percent": 36.4}}, "clr": {"after": {"mfu_percent": None}}},
        "grid": {"bfloat16": {"ragged_over_equal": 1.2}},
    }
    assert aims_of(record) == [
        ["MFU of MAE, %", "36.4", "≥ 35", "met"],
        ["ragged over equal lengths, time a state", "1.2", "≤ 1.15", "missed"],
    ]
    record.about["card"] = "NVIDIA L4"
    assert aims_of(record) == []


def test_rounds_end_with_the_part_s_time():
    clock = Clock(60)
    clock.start_part(0)
    assert list(clock.rounds(3, 10)) == [0, 1, 2]
    clock.start_part(50)
    assert list(clock.rounds(3, 5)) == [0, 1, 2, 3, 4]
    ends = [clock.part_end for _ in clock.split_part(2)]
    assert 20 < ends[1] - ends[0] < 30


def test_spans_that_overlap_count_once():
    assert union([(0, 2), (1, 3), (5, 6), (5, 5.5)]) == 4


def test_figures_are_short_and_headings_have_units():
    assert [show(value) for value in (True, 12.3456, 12345.6, 1234567, None, "x")] == [
        "yes",
        "12.3",
        "12,346",
        "1,234,567",
        "",
        "x",
    ]
    assert [words(name) for name in ("mfu_percent", "peak_gb", "clips_per_s")] == [
        "mfu, %",
        "peak, GB",
        "clips a second",
    ]
