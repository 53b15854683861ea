"""The study's page and its text: every number is there, marks follow the tests, and missing scores are dashes."""

import base64
import json
import re
import shutil

import pytest
from PIL import Image

from mmpt.study.page import write_page
from mmpt.superb.report import style
from mmpt.upstream.errors import InputError

from helpers import made_up_study as made_up
from helpers.report_page import Page

BLEU = {"none_it": 1.0, "clr_it": 3.0}
SAME = {("clr", "ks"): made_up.WHOLE["untrained"] + 0.01, ("mae", "ks"): 0.1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A study with an encoder of the user's; in KS, CLR is not told apart, MAE is worse, and MAE + en-it is missing."""
    made = [*made_up.encoders(), made_up.MadeEncoder("whisper", "also")]
    folder = tmp_path_factory.mktemp("study")
    made_up.write(folder, made_up.WHOLE, made, BLEU, SAME, left_out=(("mae_it", "ks"),))
    assert write_page(folder) == folder / "page" / "index.html"
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "page" / "index.html").read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def table(page, head):
    """Return the page's tables that begin with this cell, as row name → cells."""
    return [{row[0]: row[1:] for row in rows} for rows in page.tables if rows[0][0] == head]


def test_table_1_has_a_row_for_each_pre_training_and_a_column_for_each_mid_training(page):
    [ks] = table(page, "KS accuracy ↑, %")
    assert ks["KS accuracy ↑, %"] == ["not mid-trained", "en-it", "en-de"]
    assert list(ks)[1:] == [
        *("no pre-training", "CLR", "MAE", "MAE+CLR", "CLR on sounds"),
        *("log-mel FBANK", "CLR, longer (control)", "whisper"),
    ]
    assert ks["no pre-training"] == ["20.0\n(16.0–24.0)", "50.0\n(46.0–54.0)", ""]
    assert ks["CLR"] == ["21.0\n(17.0–25.0)", "50.0\n(46.0–54.0)", "50.0\n(46.0–54.0)"]
    assert ks["MAE"] == ["10.0\n(6.0–14.0)", "–", ""]
    assert ks["whisper"] == ["90.0\n(86.0–94.0)", "", ""]
    heads = [rows[0][0] for rows in page.tables]
    for head in ("IC accuracy ↑, %", "PR PER ↓, %", "SD DER ↓, %", "ASR clean CER ↓, %", "ASR clean WER ↓, %"):
        assert heads.count(head) == 1
    [bleu] = table(page, "Translation, BLEU ↑")
    assert bleu["no pre-training"] == ["1.0\n(0.3–1.7)", ""] and bleu["CLR"] == ["3.0\n(2.3–3.7)", "–"]


def test_marks_follow_the_tests(text):
    ks = text.split("KS accuracy")[1].split("</table>")[0]
    marks = re.findall(r'<td(?: class="(\w+)")?>(\d+\.\d)', ks)
    assert marks[:4] == [("", "20.0"), ("better", "50.0"), ("grey", "21.0"), ("better", "50.0")]
    assert ("", "10.0") in marks and ("", "90.0") in marks  # worse; not compared
    words = text.split("ASR clean WER")[1].split("</table>")[0]
    assert "90.0" in words and 'class="better"' not in words


def test_what_is_missing_is_said(page):
    assert any(text.startswith("The study is not finished (missing scores: 1).") for text in page.paragraphs)
    assert "–: not scored yet (missing scores: 1)." in page.paragraphs
    assert "mae_it" not in "".join(page.paragraphs)


def test_what_was_run_is_told(page, text):
    [times] = table(page, "encoder")
    assert times["CLR"] == ["3.2"] and times["CLR + en-it"] == ["7.5"]
    assert times["all of them"] == [f"{5 * 3.2 + 5 * 7.5:.1f}"]
    [settings] = table(page, "what")
    assert settings["command"] == ["mmpt study"] and settings["seeds of pre-training"] == ["0"]
    assert "<li>Mid-training of at most 8 minutes.</li>" in text
    assert "SMOKE RUN" in page.paragraphs
    assert len(re.findall("<li>.* than .*</li>|<li>.* told apart .*</li>", text)) == 20


def test_the_page_needs_no_other_file_and_its_figures_fit_a_telephone(folder, page):
    assert len(page.sources) == 2
    for source, name in zip(page.sources, ("changes", "gains")):
        png = folder / "page" / "figures" / f"{name}.png"
        assert source == f"data:image/png;base64,{base64.b64encode(png.read_bytes()).decode()}"
        assert png.with_suffix(".pdf").is_file()
        with Image.open(png) as picture:
            assert picture.width <= 160 * style.WIDTH + 1


def test_the_text_has_the_same_table_with_marks(folder):
    lines = (folder / "study.md").read_text().splitlines()
    rows = {cells[1].strip(): cells[2:-1] for line in lines if len(cells := line.split("|")) == 10}
    assert [cell.strip() for cell in rows["CLR"]][:2] == ["21.0 (17.0–25.0) ≈", "**30.0 (26.0–34.0)**"]
    assert rows["CLR + en-it"][-1].strip() == "3.0 (2.3–3.7)" and rows["MAE + en-it"][0].strip() == "–"
    assert rows["MAE"][0].strip() == "10.0 (6.0–14.0)" and rows["whisper"][0].strip() == "90.0 (86.0–94.0)"
    for image in re.findall(r"!\[.*\]\((.*)\)", "\n".join(lines)):
        assert (folder / image).is_file()
    assert "- Mid-training of at most 8 minutes." in lines


def test_equal_results_give_an_equal_page(folder, tmp_path):
    for name in ("study.json", "results.json"):
        shutil.copy(folder / name, tmp_path)
    write_page(tmp_path)
    for name in ("page/index.html", "page/figures/gains.pdf", "study.md"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_study_that_has_only_begun_has_a_page(tmp_path):
    made = made_up.encoders()
    left_out = tuple((e.name, task) for e in made for task in made_up.COUNTED if e.kind != "fbank")
    page = Page(write_page(made_up.write(tmp_path, made_up.WHOLE, made, left_out=left_out)).read_text())
    assert not page.sources
    [ks] = table(page, "KS accuracy ↑, %")
    assert ks["CLR"] == ["–", "–", "–"] and ks["log-mel FBANK"][0] == "10.0\n(6.0–14.0)"


def test_scores_of_an_unknown_encoder_are_refused(tmp_path):
    made_up.write(tmp_path, made_up.WHOLE)
    content = json.loads((tmp_path / "results.json").read_text())
    content["encoders"].append({**content["encoders"][0], "name": "stranger"})
    (tmp_path / "results.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"results.json scores stranger, which study.json does not list"):
        write_page(tmp_path)
