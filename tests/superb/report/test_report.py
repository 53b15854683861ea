"""report.py as typed: a page that needs nothing else, the figures beside it, and cells that stay empty."""

import html
import json
import re

import pytest
from matplotlib.colors import to_rgb

from mmpt.scripts.report import main
from mmpt.superb.report.collect import Collection, collect
from mmpt.superb.report.rows import EncoderRow, Score
from mmpt.superb.report.style import COLOURS
from mmpt.superb.report.word_errors import PRE
from mmpt.upstream.repository import REPOSITORY

import helpers.fake_superb_run as fake
from helpers.report_page import page

PAPER = REPOSITORY / "superb/report/paper_wer.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Untrained, pre-trained and mid-trained, two head seeds; the mid-trained one has no IC."""
    root = tmp_path_factory.mktemp("report")
    stages = {
        "untrained": [{"stage": "untrained", "seed": 0, "preset": "tiny"}],
        "pre": [fake.PRE],
        "mid": [fake.PRE, fake.MID],
    }
    out = fake.results(
        root, {name: fake.encoder(root / name, *known) for name, known in stages.items()}, (1, 3), made_up=True
    )
    content = json.loads((out / "results.json").read_text())
    content["summary"] = [entry for entry in content["summary"] if (entry["task"], entry["encoder"]) != ("ic", "mid")]
    other = [
        {**entry, "split": "test-other"}
        for entry in content["summary"]
        if entry["task"] == "asr" and entry["encoder"] != "untrained"
    ]
    for entry in other:
        entry["wer"] = {"mean": 0.25, "std": 0.0, "values": [0.25, 0.25]} if entry["encoder"] == "mid" else entry["wer"]
    content["summary"] += other
    content["encoders"][2]["cost"] = {
        "parameters": 985_888,
        "macs": {"short": 10**9, "medium": 0, "long": 0, "longer": 0},
    }
    scores = {"ks": 0.9, "ic": 0.9, "pr": 0.1, "sd": 0.07, "asr": 0.1}
    content["encoders"][2]["server_score"] = {
        "seed": 1,
        "scores": scores,
        "superb_s": 700.0,
        "rank": 4,
        "sd_chosen_on_dev": 0.08,
    }
    (out / "results.json").write_text(json.dumps(content))
    return out


@pytest.fixture(scope="module")
def report(run, tmp_path_factory):
    """The folder of the run's report, made once."""
    folder = tmp_path_factory.mktemp("page")
    assert main([str(run), "--out", str(folder), "--title", "A & B"]) == 0
    return folder


def test_a_page_that_needs_nothing_else(report):
    found = page(report)
    assert found.titles[0] == "A & B" and "SMOKE RUN" in (report / "report.html").read_text()
    assert found.sources and all(source.startswith("data:image/png;base64,") for source in found.sources)
    names = {"among_published", "dev_curves", "layer_weights", "scores", "superb_change", "wer_gains"}
    assert {file.name for file in (report / "figures").iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("png", "pdf")
    }


def test_seeds_are_mean_and_spread_and_missing_cells_are_empty(report):
    table = page(report).tables[0]
    heads = ["KS accuracy ↑", "IC accuracy ↑", "PR PER ↓", "SD DER ↓", "ASR clean WER ↓", "ASR other WER ↓"]
    assert table[0] == ["encoder", *heads]
    assert table[1] == ["untrained", *["52.0 ± 1.4"] * 5, ""]
    assert table[3][:3] == ["mid", "52.0 ± 1.4", ""]


def test_word_errors_in_the_form_of_table_1(report):
    table = page(report).tables[1]
    assert table[1] == ["scratch", "untrained", "", "52.00 ± 1.41", "", "", "", "", ""]
    assert table[2] == ["CLR", "lrs3", "no", "52.00 ± 1.41", "52.00 ± 1.41", "+0.00", "", "", ""]
    assert table[3] == ["CLR", "lrs3", "en-it", "52.00 ± 1.41", "25.00 ± 0.00", "+0.00", "", "+0.00", "+51.92"]


def test_ours_stand_among_the_published_rows(report):
    (table,) = [table for table in page(report).tables if table[0][0] == "upstream"]
    names = [row[0] for row in table[1:]]
    assert len(names) == 11 and names.index("mid (head seed 1)") > names.index("HuBERT base")
    assert table[1 + names.index("mid (head seed 1)")][1:4] == ["0.99", "1.00", "90.00"]
    scores = [float(row[-1]) for row in table[1:]]
    assert scores == sorted(scores, reverse=True)


def test_the_papers_table_is_found_from_its_former_place(tmp_path, capsys):
    assert main([str(REPOSITORY / "scripts/reporting/paper_wer.yaml"), "--out", str(tmp_path)]) == 0
    assert "paper_wer.yaml, where it lies now" in capsys.readouterr().err


def test_the_papers_table_gives_the_papers_figures(tmp_path):
    assert main([str(PAPER), "--out", str(tmp_path)]) == 0
    first, averages = page(tmp_path).tables
    assert len(first) == 1 + 1 + 36
    assert first[1][:5] == ["scratch", "", "", "6.84 ± 0.22", "12.91 ± 0.47"]
    (headline,) = [row for row in first if row[:3] == ["MAE", "LRS3", "en-it"]]
    assert [float(cell) for cell in headline[5:7]] == pytest.approx([38.45, 26.18], abs=0.0101)
    derived = {row[0]: [float(cell) for cell in row[1:]] for row in averages[1:]}
    expected = {
        "mean without mid-training, WER": [6.34, 12.18],
        "gain of mid-training on en-de, %": [8.59, 6.77],
        "gain of mid-training on en-it, %": [18.55, 10.28],
        "gain of mid-training on en-nl, %": [13.11, 7.71],
        "data set K600, mean without mid-training, WER": [6.65, 12.9],
        "data set VC2, mean without mid-training, WER": [6.16, 12.01],
        "data set LRS3, mean without mid-training, WER": [6.19, 11.64],
        "method MAE, mean of without and with mid-training, WER": [5.63, 11.53],
        "method CLR, mean of without and with mid-training, WER": [6.00, 11.67],
        "method MAE+CLR, mean of without and with mid-training, WER": [6.09, 11.85],
    }
    assert derived.keys() == expected.keys()
    for name, figures in expected.items():
        assert derived[name] == pytest.approx(figures, abs=0.0151), (
            name
        )  # the page has two digits: 0.01 and their rounding
    assert (tmp_path / "figures/wer_gains_paper_wer.pdf").is_file()


def test_equal_results_give_equal_files(run, report, tmp_path):
    assert main([str(run), "--out", str(tmp_path), "--title", "A & B"]) == 0
    files = sorted(file.relative_to(report) for file in report.rglob("*") if file.is_file())
    assert len(files) == 13
    assert all((report / file).read_bytes() == (tmp_path / file).read_bytes() for file in files)


def test_words_of_results_are_text_and_not_markup(run, tmp_path):
    content = json.loads((run / "results.json").read_text())
    content["encoders"][0]["name"] = content["encoders"][0]["name"] + "<b>"
    for entry in content["summary"] + content["jobs"]:
        entry["encoder"] += "<b>" if entry["encoder"] == "untrained" else ""
    (tmp_path / "results.json").write_text(json.dumps(content))
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out/report.html").read_text()
    assert "untrained<b>" not in text and html.escape("untrained<b>") in text


def test_runs_are_joined_by_the_encoders_weights(run, tmp_path):
    content = json.loads((run / "results.json").read_text())
    for entry in content["summary"]:
        entry["seeds"] = [5, 7]
    (tmp_path / "results.json").write_text(json.dumps(content))
    found = collect([run, tmp_path, run])
    rows = found.rows
    assert len(found.jobs) == len(content["jobs"])
    assert [row.name for row in rows] == ["untrained", "pre", "mid"]
    assert sorted(rows[0].scores["ks", "test", "acc"].values) == [1, 3, 5, 7]
    assert [(row.kind, row.method, row.data, row.language) for row in rows] == [
        ("untrained", None, None, None),
        ("pre-trained", "CLR", "lrs3", None),
        ("mid-trained", "CLR", "lrs3", "en-it"),
    ]


def test_two_encoders_of_one_name_are_kept_apart(run, tmp_path):
    content = json.loads((run / "results.json").read_text())
    content["encoders"][0]["sha256"] = "0" * 64
    (tmp_path / "results.json").write_text(json.dumps(content))
    assert [row.name for row in collect([run, tmp_path]).rows] == ["untrained", "pre", "mid", "untrained'"]


def test_word_errors_of_an_encoder_that_was_not_pre_trained():
    scores = {("asr", "test-clean", "wer"): Score({1: 0.10, 2: 0.12})}
    row = EncoderRow("m", "mid-trained", language="en-it", scores=scores)
    table = Collection([row]).word_errors()["clean"]
    assert table.cells == {("none", "-", "en-it"): pytest.approx(11)} and table.scratch is None and PRE is None


def test_colours_survive_greyscale():
    def lightness(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        return 116 * y ** (1 / 3) - 16  # CIE L*, for y above 0.009

    values = [lightness(colour) for colour in COLOURS]
    assert all(later - earlier > 15 for earlier, later in zip(values, values[1:])), values


@pytest.mark.parametrize(
    "argument, message",
    [
        ("nowhere", "No such file or directory"),
        ("nowhere.yaml", "No such file or directory"),
        ("{0}/other.yaml", "is not a table of word errors"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, argument, message):
    (tmp_path / "other.yaml").write_text("rows: 1")
    assert main([argument.format(tmp_path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error and re.fullmatch(r"[^\n]+\n", error)
