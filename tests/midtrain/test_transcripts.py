"""LibriSpeech's transcripts as a corpus of stage 2."""

import pytest

from mmpt.midtrain.corpus import open_corpus
from mmpt.midtrain.segments import read_wav
from mmpt.scripts.prepare.transcripts import main

from helpers.stock_mocks import librispeech


@pytest.fixture
def corpus(tmp_path):
    librispeech(tmp_path)
    return tmp_path / "LibriSpeech"


def prepare(corpus, out, *options):
    return main(["--root", str(corpus), "--out", str(out), "--vocabulary-size", "20", "--jobs", "1", *options])


@pytest.mark.parametrize("shards", [[], ["--shards"]])
def test_the_transcript_is_the_translation(corpus, tmp_path, shards):
    assert prepare(corpus, tmp_path / "out", *shards) == 0
    opened = open_corpus(tmp_path / "out", "en", max_frames=3000)
    assert sorted(opened.splits) == ["dev", "train", "tst-COMMON"] and opened.name == "librispeech transcripts"
    segments = opened.read("train").segments
    lines = (corpus / "train-clean-100/0/7/0-7.trans.txt").read_text().splitlines()
    assert [f"{s.id} {s.target.upper()}" for s in segments if not shards] == (lines if not shards else [])
    assert sorted(s.target for s in segments) == sorted(line.partition(" ")[2].lower() for line in lines)
    assert all(s.source == s.target and s.speaker == "0" and len(read_wav(s)) == s.samples for s in segments)


def test_long_utterances_train_nothing(corpus, tmp_path):
    assert prepare(corpus, tmp_path / "out", "--max-frames", "125") == 0
    opened = open_corpus(tmp_path / "out", "en", max_frames=125)
    assert len(opened.read("train").segments) == 3 and len(opened.read("dev").segments) == 6


@pytest.mark.parametrize("damage, problem", [("flac", "cannot be read"), ("table", "no transcripts here")])
def test_what_is_missing_is_named(corpus, tmp_path, capsys, damage, problem):
    if damage == "flac":
        (corpus / "dev-clean/1/7/1-7-0002.flac").unlink()
    else:
        (corpus / "dev-clean/1/7/1-7.trans.txt").unlink()
    assert prepare(corpus, tmp_path / "out") == 2
    assert problem in capsys.readouterr().err
