"""The picture of a run's validations."""

import math

import pytest
from matplotlib import pyplot

from mmpt.pretrain import curves
from mmpt.pretrain.curves import curve_picture
from mmpt.pretrain.validation_record import Row


def rows(*names):
    return [Row(step, name, 0.5, 0.4, 0.6, 0.1, 30, 3) for step in (0, 4) for name in names]


@pytest.mark.parametrize(
    "names, panels",
    [
        (["audio_to_video_r1"], 1),  # no speaker with two clips
        (["audio_error_over_mean", "video_error_over_mean"], 1),
        (["audio_to_video_r1", "within_audio_to_video_pairwise", "audio_error_over_mean"], 3),
    ],
)
def test_a_panel_for_what_was_measured(tmp_path, monkeypatch, names, panels):
    drawn = []
    monkeypatch.setattr(curves, "save", lambda figure, path: drawn.append(figure))
    unknown = [Row(8, name, math.nan, math.nan, math.nan, 0.1, 30, 3) for name in names]
    curve_picture(rows(*names) + unknown, tmp_path / "validation.png")
    [figure] = drawn
    assert len(figure.axes) == panels
    for axes, name in zip(figure.axes, names):
        assert "(30 clips, 3 groups)" in axes.lines[0].get_label()
        steps, values = axes.lines[0].get_data()
        assert list(steps) == [0, 4, 8] and list(values[:2]) == [0.5, 0.5] and math.isnan(values[2])
        references = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"]
        assert set(references) == ({0.1, 1.0} if "error" in name else {0.1})
    pyplot.close(figure)
