"""The probe for phones: a job for each encoder, layer and rate; what is compared, and how it is shown."""

import json

import numpy as np
import pytest
from matplotlib import pyplot

from mmpt.scripts.probe_phones import read_layers
from mmpt.study import phone_probe
from mmpt.study.phone_probe import layers_of, probe
from mmpt.study.phone_probe_page import probe_figure, probe_text
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.options import Options
from mmpt.upstream.errors import InputError
from mmpt.upstream.statistics.items import Items

from helpers.stock_mocks import superb

ENCODERS = [ScoredEncoder("untrained", "fbank"), ScoredEncoder("trained", "mfcc"), ScoredEncoder("fbank", "spec")]
STATES = {"untrained": 3, "trained": 3, "fbank": 1}
RATES = {"1e-3": 0.05, "1e-2": 0.0}  # what each adds to the errors


def error(encoder, layer, rate):
    """Return a made-up share of wrong phones."""
    return {"untrained": 0.8, "trained": 0.7 - 0.2 * layer, "fbank": 0.9}[encoder] + RATES[rate]


def run(jobs, evaluate, *_):
    """Leave what a job would leave."""
    for job in jobs:
        share = error(job.encoder.name, job.options.layer, job.lr)
        (job.folder / "trained.json").write_text(json.dumps({"dev_score": share}))
        if evaluate:
            (job.folder / "result.json").write_text("{}")
    return []


def items(experiment, *_):
    """Return 20 utterances of five speakers."""
    encoder, rate = experiment.parts[-3], experiment.parts[-2].removeprefix("lr").removesuffix("-seed1")
    layer = int(experiment.parts[-5].removeprefix("layer"))
    counts = 100 * error(encoder, layer, rate) + np.tile([-4.0, -2.0, 0.0, 2.0, 4.0], 4)
    names = tuple(f"u{number}" for number in range(20))
    return {"per": Items(names, tuple("abcde" * 4), counts[None], np.full(20, 100))}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return superb(tmp_path_factory.mktemp("probe") / "noise")


@pytest.fixture
def content(corpora, tmp_path, monkeypatch):
    monkeypatch.setattr(phone_probe, "states", lambda encoder: STATES[encoder.name])
    monkeypatch.setattr(phone_probe, "execute", run)
    monkeypatch.setattr(phone_probe, "read_items", items)
    options = Options(data_root=str(corpora), limit=40)
    return probe(ENCODERS, list(RATES), 1, tmp_path / "out", options, None, 1)


def test_every_layer_has_the_rate_that_is_best_on_dev(content, tmp_path):
    assert [(row["encoder"], row["layer"], row["lr"]) for row in content["layers"]] == [
        *(("untrained", layer, 0.01) for layer in range(3)),
        *(("trained", layer, 0.01) for layer in range(3)),
        ("fbank", 0, 0.01),
    ]
    trained = content["layers"][4]
    assert trained["per"] == pytest.approx(0.5) and trained["low"] < 0.5 < trained["high"]
    assert json.loads((tmp_path / "out" / "phone_probe.json").read_text()) == content


def test_encoders_are_compared_at_their_best_layers_with_the_first(content):
    found = [(row["baseline"], row["encoder"], row["layers"], row["difference"]) for row in content["comparisons"]]
    assert found == [
        ("untrained", "trained", [0, 2], pytest.approx(-0.5)),
        ("untrained", "fbank", [0, 0], pytest.approx(0.1)),
    ]
    assert all(row["p_corrected"] >= row["p"] for row in content["comparisons"])


def test_the_table_has_a_cell_for_each_layer(content):
    lines = probe_text(content).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:5]]
    assert cells[0] == ["PER ↓, % (95 %)", "untrained", "trained", "fbank"]
    assert cells[4][0] == "layer 2" and cells[4][2].startswith("30.0 (") and cells[4][3] == "-"
    assert lines[7] == "Heads of 40 steps; learning rate chosen on dev from 0.001, 0.01."
    assert "learning rate 0.01 for all" in probe_text(content | {"rates": [None]})
    assert lines[8].startswith("trained (layer 2) against untrained (layer 0): −50.0 points (")


def test_the_figure_draws_a_single_layer_across(content):
    figure = probe_figure(content["layers"])
    drawn = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}
    assert drawn["fbank"] == [[0, pytest.approx(90)], [2, pytest.approx(90)]]
    assert drawn["trained"] == [[layer, pytest.approx(70 - 20 * layer)] for layer in range(3)]
    pyplot.close(figure)


def test_layers_can_be_named(monkeypatch):
    monkeypatch.setattr(phone_probe, "states", lambda encoder: STATES[encoder.name])
    assert layers_of(ENCODERS[0], read_layers("0, 2,7")) == [0, 2]
    with pytest.raises(InputError, match="fbank: has layers 0 to 0"):
        layers_of(ENCODERS[2], [2])
    with pytest.raises(InputError, match="--layers a: numbers"):
        read_layers("a")
