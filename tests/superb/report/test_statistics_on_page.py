"""What a run's statistics put on the page: intervals, comparisons, speakers by name, and the worst utterances."""

import json
import shutil

import pytest
import yaml

from mmpt.scripts.report import main
from mmpt.superb.report.collect import collect
from mmpt.superb.report.comparison_tables import comparison_note, comparison_tables
from mmpt.superb.report.score_figures import change_by_task, scores
from mmpt.superb.report.speaker_names import speaker_names
from mmpt.superb.report.worst_utterances import worst_utterances
from mmpt.superb.results import read_results
from mmpt.superb.statistics.encoder_in_run import EncoderInRun
from mmpt.superb.statistics.pairs import compare_pairs

import helpers.fake_superb_run as fake
from helpers import predicted_run
from helpers.report_page import page

WRONG = {"untrained": {"ks": 0.6, "asr": 0.6}, "pre": {"ks": 0.6, "asr": 0.5}, "mid": {"ks": 0.6, "asr": 0.3}}
STAGES = {"untrained": [{"stage": "untrained"}], "pre": [fake.PRE], "mid": [fake.PRE, fake.MID]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two tasks, two head seeds; the mid-trained encoder is compared with the untrained one."""
    folder = predicted_run.write(tmp_path_factory.mktemp("run"), WRONG, seeds=(1, 2))
    content = read_results(folder)
    for entry in content["encoders"]:
        entry |= {"checkpoint": "encoder.pt", "sha256": entry["name"], "provenance": {"stages": STAGES[entry["name"]]}}
    untrained, mid = (EncoderInRun(name, content, folder) for name in ("untrained", "mid"))
    content["comparisons"], problems = compare_pairs([(untrained, mid)])
    assert not problems
    (folder / "results.json").write_text(json.dumps(content))
    corpus = folder / "corpora/LibriSpeech"
    corpus.mkdir(parents=True)
    (corpus / "SPEAKERS.TXT").write_text(
        "; a comment\n1 | F | test-clean | 0.1 | Ann | of Cleves\n2 | M | test | 1 | \n"
    )
    for config in folder.glob("asr/*/*/experiment/config_*.yaml"):
        config.write_text(yaml.safe_dump({"downstream_expert": {"datarc": {"libri_root": str(corpus)}}}))
    return folder


@pytest.fixture(scope="module")
def report(run, tmp_path_factory):
    """The page, made once."""
    folder = tmp_path_factory.mktemp("page")
    assert main([str(run), "--out", str(folder)]) == 0
    return page(folder)


def test_each_score_carries_its_interval_and_characters_stand_beside_words(run, report):
    table = report.tables[0]
    assert table[0] == ["encoder", "KS accuracy ↑", "ASR clean CER ↓", "ASR clean WER ↓"]
    for encoder, *cells in table[1:]:
        for cell, (task, metric) in zip(cells, (("ks", "acc"), ("asr", "cer"), ("asr", "wer")), strict=True):
            [entry] = [e for e in read_results(run)["summary"] if (e["task"], e["encoder"]) == (task, encoder)]
            figure = entry[metric]
            mean, std, low, high = figure["mean"], figure["std"], figure["interval"]["low"], figure["interval"]["high"]
            assert cell == f"{100 * mean:.1f} ± {100 * std:.1f}\n({100 * low:.1f}–{100 * high:.1f})"
    assert any("KS and ASR clean: bootstrap over 12 clusters and 2 head seeds" in text for text in report.paragraphs)
    assert any("0.1 for all encoders, not chosen on dev" in text for text in report.paragraphs)


def test_comparisons_have_a_verdict_and_those_not_told_apart_are_grey(run, report):
    [table] = [table for table in report.tables if table[0][:2] == ["test, %", "B is"]]
    known = read_results(run)["comparisons"]
    assert [row[0] for row in table[1:]] == ["KS accuracy ↑", "ASR clean CER ↓"]
    told_apart = {False: "not told\napart", True: "better"}
    assert [row[1] for row in table[1:]] == [told_apart[one["told_apart"]] for one in known]
    assert [row in report.grey for row in table[1:]] == [not one["told_apart"] for one in known]
    assert {one["told_apart"] for one in known} == {False, True}
    asr = known[1]
    points = [f"{100 * asr[name]:+.1f}".replace("-", "−") for name in ("difference", "low", "high")]
    assert table[2][2] == "{}\n({} to {})".format(*points)
    assert table[0][3:] == ["p Holm", "could show", "p"]
    assert table[2][4] == f"{100 * asr['smallest']:.1f}"
    assert "mid is better than untrained on ASR; they cannot be told apart on KS." in report.paragraphs


def test_scores_by_speaker_are_folded_and_readers_have_names(run, report):
    assert report.folded[:3] == [
        f"{name}, 12 speakers" for name in ("KS accuracy ↑", "ASR clean CER ↓", "ASR clean WER ↓")
    ]
    by_speaker = [table for table in report.tables if table[0][0] == "speaker"]
    assert [table[0] for table in by_speaker] == [["speaker", "untrained", "pre", "mid"]] * 3
    names = [row[0] for row in by_speaker[1][1:]]
    assert sorted(names) == sorted(["Ann | of Cleves (1)", *map(str, range(2, 13))])
    entry = next(e for e in read_results(run)["summary"] if (e["task"], e["encoder"]) == ("asr", "mid"))
    by_name = {row[0]: row[-1] for row in by_speaker[1][1:]}
    assert by_name["Ann | of Cleves (1)"] == f"{100 * entry['cer']['by_cluster']['1']:.1f}"


def test_aliases_of_speech_commands_have_names(tmp_path):
    (tmp_path / "aliases.tsv").write_text("alias\tspeaker\n0a1b\tqueen-APE\n")
    expert = {"datarc": {"speech_commands_test_root": str(tmp_path)}}
    (tmp_path / "config_1.yaml").write_text(yaml.safe_dump({"downstream_expert": expert}))
    assert speaker_names(tmp_path, "ks") == {"0a1b": "queen-APE (0a1b)"}
    (tmp_path / "aliases.tsv").unlink()
    assert speaker_names(tmp_path, "ks") == speaker_names(tmp_path / "nowhere", "asr") == {}


def test_the_worst_utterances_show_wrong_words(report):
    assert "Worst utterances of ASR test-clean" in report.titles and "7 more" in report.folded
    assert set(report.words["mark"]) == {"WARD"} and not report.words["del"]


def test_every_bar_and_point_has_a_whisker(run):
    found = collect([run])
    cells = found.cells()
    panels = scores(found.rows, cells).axes[: len(cells)]
    assert [panel.get_title() for panel in panels] == ["KS accuracy", "ASR clean CER", "ASR clean WER"]
    for cell, panel in zip(cells, panels):
        drawn = [tuple(line.get_xdata()) for line in panel.lines if line.get_marker() == "|"]
        assert drawn == [row.scores[cell].interval for row in found.rows]
    untrained, before = change_by_task(found.rows, cells, found.all_comparisons()).axes
    for axis, bars in ((untrained, 6), (before, 3)):  # the pair mid, pre was not declared
        assert len(axis.patches) == sum(line.get_marker() == "|" for line in axis.lines) == bars


def test_a_run_that_was_moved_without_its_jobs_has_whiskers_of_its_comparisons_alone(run, tmp_path):
    shutil.copy(run / "results.json", tmp_path)
    content = read_results(tmp_path)
    for job in content["jobs"]:
        job["folder"] = "/gone" + job["folder"]
    (tmp_path / "results.json").write_text(json.dumps(content))
    found = collect([tmp_path])
    untrained, before = change_by_task(found.rows, found.cells(), found.all_comparisons()).axes
    whiskers = [sum(line.get_marker() == "|" for line in axis.lines) for axis in (untrained, before)]
    assert whiskers == [2, 0]
    assert worst_utterances(found) == []


def test_mcnemars_p_stands_beside_where_there_is_one_seed(run):
    found = collect([run])
    [table] = comparison_tables(found)
    assert "McNemar" not in table.heads and "McNemar" not in comparison_note(found)
    for one, p in zip(found.all_comparisons(), (0.25, None)):
        one["mcnemar_p"] = p
    [table] = comparison_tables(found)
    assert table.heads[-1] == "McNemar" and [row[-1] for row in table.rows] == ["0.250", ""]
    assert "McNemar" in comparison_note(found)
