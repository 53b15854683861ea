"""Test items from prediction files: their sums are the scores, their clusters the speakers."""

import numpy as np
import pytest

from mmpt.superb.statistics import speakers
from mmpt.superb.statistics.reading import by_speaker, merge_seeds, read_items
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.experiment import score
from mmpt.upstream.s3prl_runner.tasks import TASKS
from mmpt.upstream.statistics.items import Items

from helpers import fake_superb_run
from helpers.kept import unpack


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of all tasks."""
    return fake_superb_run.results(tmp_path_factory.mktemp("run"), {"a": _encoder(tmp_path_factory)})


def _encoder(tmp_path_factory):
    return fake_superb_run.encoder(tmp_path_factory.mktemp("encoder"))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_sums_of_the_items_are_the_scores(run, task):
    experiment = run / task.name / "a" / "lr-default-seed1" / "experiment"
    expected = score(experiment, task.name)
    items = read_items(experiment, task.name, task.test_split)
    assert items.keys() == expected.keys() - {"utterances"}
    for metric, found in items.items():
        assert len(found.ids) == expected["utterances"]
        assert found.seed_scores.tolist() == pytest.approx([expected[metric]], abs=1e-12)
    assert 0 < expected[task.metric] < 1  # neither all right nor all wrong


def test_kept_predictions_have_their_score(tmp_path):
    experiment = unpack("superb", tmp_path) / "superb/out/ks/kept/lr-default-seed1337/experiment"
    found = read_items(experiment, "ks", "test")["acc"]
    assert found.score == 1 / 12 == score(experiment, "ks")["acc"]
    assert set(found.clusters) == {"m4", "_silence_-m4_nohash_0.wav"}
    assert by_speaker(found) == {"m4": 1 / 11}


def test_asr_with_both_decoders_and_texts_that_are_empty(tmp_path):
    truth = {"1-2-0000": "GOOD MORNING", "1-2-0001": "YES", "3-2-0000": "", "x": "NO"}
    plain = {"1-2-0000": "GOOD", "1-2-0001": "YET A", "3-2-0000": "OH", "x": ""}
    for name, texts in (
        ("noLM-ref", truth),
        ("noLM-hyp", plain),
        ("LM-ref", truth),
        ("LM-hyp", {**plain, "x": "NO"}),
    ):
        lines = "".join(f"{key} {text}".rstrip() + "\n" for key, text in texts.items())
        (tmp_path / f"test-clean-{name}.ark").write_text(lines)
    items, expected = read_items(tmp_path, "asr", "test-clean"), score(tmp_path, "asr")
    assert items["wer"].counts.tolist() == [[1, 2, 1, 1]] and items["wer"].units.tolist() == [2, 1, 0, 1]
    for metric in ("wer", "cer", "wer_lm", "cer_lm"):
        assert items[metric].score == pytest.approx(expected[metric], abs=1e-12)
    assert items["cer"].clusters == ("1", "1", "3", "x")


def test_speakers_by_published_names():
    names = ["1089-134686-0000", "1089-134691-0012", "no-number"]
    assert speakers.of_librispeech(names) == ["1089", "1089", "no-number"]
    clips = {
        "yes-0a2b400e_nohash_1.wav": "0a2b400e",
        "_unknown_-bed_0a2b400e_nohash_0.wav": "0a2b400e",
        "up-anna_b-2_nohash_0.wav": "anna_b-2",
        "up-b-2_nohash_0.wav": "b-2",
        "_silence_-12.wav": "_silence_-12.wav",
        "up-mine.wav": "up-mine.wav",
    }
    assert speakers.of_speech_commands(list(clips)) == list(clips.values())


def test_speakers_of_commands_are_in_the_table(tmp_path):
    config = {"downstream_expert": {"datarc": {"file_path": str(tmp_path)}}}
    with pytest.raises(InputError, match="test_data.csv: not there"):
        speakers.of_fluent_commands(["a"], config, "test")
    (tmp_path / "data").mkdir()
    rows = ["0,wavs/speakers/p/a.wav,p", "1,wavs/speakers/q/b.wav,q", "2,x/c.wav,x", "3,y/c.wav,y"]
    (tmp_path / "data/test_data.csv").write_text("\n".join([",path,speakerId", *rows]) + "\n")
    assert speakers.of_fluent_commands(["b", "a", "c", "d"], config, "test") == ["q", "p", "c", "d"]


def test_speakers_of_mixtures_are_in_kaldis_tables(tmp_path):
    config = {"downstream_expert": {"loaderrc": {"test_dir": str(tmp_path)}}}
    for name in ("wav.scp", "reco2dur"):
        (tmp_path / name).write_text("")
    (tmp_path / "segments").write_text("u1 r 0 1\nu2 r 1 2\nu3 r 2 3\nu4 t 0 1\nu5 t 1 2\n")
    with pytest.raises(InputError, match="utt2spk: not there"):
        speakers.of_mixtures(["r"], config)
    (tmp_path / "utt2spk").write_text("u1 m\nu2 a+b\nu3 m\nu4 61-70968-0000\n")
    with pytest.raises(InputError, match="utt2spk: u5 of segments"):
        speakers.of_mixtures(["r"], config)
    (tmp_path / "utt2spk").write_text("u1 m\nu2 a+b\nu3 m\nu4 61-70968-0000\nu5 7-1-0003\n")
    assert speakers.of_mixtures(["t", "r", "other"], config) == ["61+7", "a-b+m", "other"]


def test_seeds_are_put_in_one_order():
    first = Items(("a", "b"), ("x", "y"), np.array([[1, 0]]), np.array([1, 2]))
    second = Items(("b", "a"), ("y", "x"), np.array([[2, 1]]), np.array([2, 1]))
    both = merge_seeds([first, second])
    assert both.counts.tolist() == [[1, 0], [1, 2]] and both.ids == ("a", "b")
    with pytest.raises(InputError, match="different items"):
        merge_seeds([first, Items(("a", "c"), ("x", "y"), np.array([[1, 0]]), np.array([1, 2]))])
    with pytest.raises(InputError, match="different references"):
        merge_seeds([first, Items(("a", "b"), ("x", "y"), np.array([[1, 0]]), np.array([1, 3]))])


def test_a_score_for_each_speaker():
    items = Items(("a", "b", "c"), ("x+y", "x", "c"), np.array([[1, 0, 5], [3, 0, 5]]), np.array([4, 4, 9]))
    assert by_speaker(items) == {"x": 0.25, "y": 0.5}


def test_missing_predictions_are_one_line(tmp_path):
    for task in TASKS:
        with pytest.raises(InputError, match="-m evaluate"):
            read_items(tmp_path, task.name, task.test_split)
