"""Figures of held-out clips: from their parts, over ranks, and in the run's folder."""

from pathlib import Path

import pytest
import torch

from mmpt.pretrain import reconstruction_errors
from mmpt.pretrain.figures import Figure, HeldOutClip
from mmpt.pretrain.manifest import Clip
from mmpt.pretrain.reconstruction_errors import clip_sums, error_figures
from mmpt.pretrain.validation import cluster_of
from mmpt.pretrain.validation_record import read_record, record

CLIPS = [HeldOutClip("ab"[number % 2], f"clip{number}", "ab"[number % 2]) for number in range(8)]


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_errors_are_summed_some_rows_at_a_time(monkeypatch, rows):
    monkeypatch.setattr(reconstruction_errors, "ROWS_AT_ONCE", rows)
    made, target = torch.randn(2, 15, 8), 2 + torch.randn(2, 15, 8)
    clip_of_row = torch.tensor([0] * 5 + [1] * 10)  # clips of different lengths, two in each batch
    sums = torch.cat([clip_sums(*batch, clip_of_row, 2) for batch in zip(made, target)])
    figures = error_figures("video", sums, CLIPS[:4])
    error = (made - target).double().square().mean().item()
    of_mean = target.double().flatten(0, 1).var(0, correction=0).mean().item()
    assert figures["video_error"].value == pytest.approx(error)
    assert figures["video_error_over_mean"].value == pytest.approx(error / of_mean)
    mean = target.double().flatten(0, 1).mean(0)
    of_clips = [
        target[i, part].double().sub(mean).square().sum().item() for i in (0, 1) for part in (slice(5), slice(5, 15))
    ]
    assert figures["video_error_over_mean"].units == pytest.approx(of_clips)


def test_the_mean_of_all_targets_has_an_error_of_one():
    target = torch.randn(12, 3)
    sums = clip_sums(target.mean(0).expand(12, 3), target, torch.arange(4).repeat_interleave(3), 4)
    assert error_figures("audio", sums, CLIPS[:4])["audio_error_over_mean"].value == pytest.approx(1)


def test_intervals_are_over_clusters():
    """Clips of one speaker that behave alike tell no more than one clip each."""
    clips = [HeldOutClip(name, f"{name}{number}", name) for name in "abcd" for number in range(8)]
    alike = Figure(clips, torch.tensor([1.0] * 16 + [0.0] * 16).numpy()).interval()
    mixed = Figure(clips, torch.tensor([1.0, 0.0] * 16).numpy()).interval()
    assert alike.clusters == mixed.clusters == 4
    assert (alike.low, alike.high) == (0, 1) and mixed.high - mixed.low < 0.3


@pytest.mark.parametrize("clips, value", [(1, 1.0), (8, float("nan"))])
def test_without_two_finite_clips_there_is_no_interval(clips, value):
    assert Figure(CLIPS[:clips], torch.full((clips,), value).numpy()).interval() is None


def test_clips_without_a_group_are_clustered_by_recording():
    clip = Clip("a", Path("a.mp4"), Path("a.mp4"), 0.0, 1.0, "dev", "mock", "")
    assert cluster_of(clip) == "a.mp4"


def test_a_step_is_recorded_once(tmp_path):
    """After a resume, what was validated before the interruption is replaced."""
    figures = {
        "r1": Figure(CLIPS, torch.tensor([1.0, 0.0] * 4).numpy(), chance=0.125),
        "error": Figure(CLIPS, torch.full((8,), torch.nan).numpy()),
    }
    for step in (0, 4, 8):
        record(tmp_path, step, figures)
    rows = record(tmp_path, 4, figures)
    assert [(row.step, row.figure) for row in rows] == [(0, "r1"), (0, "error"), (4, "r1"), (4, "error")]
    assert rows[0].value == 0.5 and (rows[0].low, rows[0].high) == (0, 1)
    assert repr(read_record(tmp_path)) == repr(rows)  # NaN differs from NaN
    assert (tmp_path / "validation.tsv").read_text().splitlines()[:3] == [
        "step\tfigure\tvalue\tlow\thigh\tchance\tclips\tclusters",
        "0\tr1\t0.5\t0\t1\t0.125\t8\t2",
        "0\terror\t\t\t\t\t8\t2",
    ]
