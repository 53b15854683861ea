"""Dev curves and layer weights: the chosen learning rate's, and nothing where nothing is known."""

from mmpt.superb.report.training_figures import dev_curves, layer_weights

JOB = {
    "task": "ks",
    "encoder": "a",
    "chosen": True,
    "dev_curve": {"10": 0.1, "20": 0.3},
    "dev_score": 0.3,
    "checkpoint_step": 20,
    "layer_weights": [0.25, 0.75],
}
OTHER = {**JOB, "task": "asr", "encoder": "b", "dev_score": None, "layer_weights": None}


def test_a_line_a_seed_and_a_ring_on_what_was_tested():
    figure = dev_curves([JOB, OTHER, {**JOB, "chosen": False}])
    assert [panel.get_title() for panel in figure.axes] == ["KS", "ASR"] and [
        len(panel.lines) for panel in figure.axes
    ] == [2, 1]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [10, 30] and figure.axes[0].lines[1].get_xdata() == [20]


def test_layer_weights_are_means_over_seeds():
    image = layer_weights([JOB, {**JOB, "layer_weights": [0.75, 0.25]}, OTHER]).axes[0].images[0].get_array()
    assert image.tolist() == [[0.5, 0.5]]


def test_no_figure_without_data():
    assert dev_curves([{**OTHER, "dev_curve": {}}, {**JOB, "chosen": False}]) is None
    assert layer_weights([OTHER]) is None
