"""Tables of segments, and prepared corpora."""

import json
from dataclasses import replace

import pytest

from mmpt.midtrain.corpus import open_corpus, read_table, write_table
from mmpt.midtrain.segments import read_wav
from mmpt.upstream.errors import InputError

from helpers import mock_must_c
from helpers.mock_must_c import prepared


@pytest.fixture
def root(tmp_path):
    return mock_must_c.corpus(tmp_path / "must_c")


def test_a_corpus_of_the_samples_says_so(root, tmp_path):
    """Whatever names its folder, and prepared elsewhere, too. A folder that an older version prepared is of MuST-C."""
    (tmp_path / "built.json").touch()
    assert open_corpus(root, "it", 3000).name == "samples must_c en-it"
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    folder = prepared(root, tmp_path / "elsewhere/deep/prepared")
    about = json.loads((folder / "corpus.json").read_text())
    assert about["corpus"] == open_corpus(folder, "it", 3000).name == "samples must_c en-it"
    del about["corpus"]
    (folder / "corpus.json").write_text(json.dumps(about))
    assert open_corpus(folder, "it", 3000).name == "must_c en-it"


def test_a_written_table_is_read_back(root, tmp_path):
    segments = open_corpus(root, "it", 3000).read("train").segments
    segments[0] = replace(segments[0], source='he said "no\u2028way"\x85', target="#'\\ ", speaker="")
    segments[1] = replace(segments[1], source="a\tb\rc", audio=tmp_path / "shards" / "a.tar", flac_bytes=7)
    write_table(tmp_path / "t.tsv", segments)
    found = read_table(tmp_path / "t.tsv")
    assert found == [segments[0], replace(segments[1], source="a b c"), *segments[2:]]
    lines = (tmp_path / "t.tsv").read_bytes().split(b"\n")
    assert lines[2].split(b"\t")[1] == b"shards/a.tar"


@pytest.mark.parametrize("shards", [False, True])
def test_a_prepared_folder_has_the_published_segments(root, tmp_path, shards):
    published = open_corpus(root, "it", 3000)
    folder = prepared(root, tmp_path / "out", *(["--shards"] if shards else []))
    corpus = open_corpus(folder, "it", 3000)
    assert corpus.name == published.name == "must_c en-it"
    assert corpus.splits == published.splits == ["train", "dev", "tst-COMMON"]
    for name in corpus.splits:
        ours, reference = corpus.read(name).segments, published.read(name).segments
        assert all(bool(s.flac_bytes) == shards for s in ours)
        assert [(s.id, s.samples, s.source, s.target, s.speaker) for s in ours] == [
            (s.id, s.samples, s.source, s.target, s.speaker) for s in reference
        ]
        assert all(read_wav(a).equal(read_wav(b)) for a, b in zip(ours, reference))  # the sound is the same bit for bit
    assert corpus.vocabulary(40) and not corpus.vocabulary(41)
    kept = corpus.read("train").segments
    shorter = open_corpus(folder, "it", 80).read("train")
    assert shorter.segments == [s for s in kept if s.frames <= 80]
    assert len(shorter.changes["dropped: longer than 80 frames"]) == len(kept) - len(shorter.segments) > 0


def damage(folder, name, text):
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    "spoil, arguments, message",
    [
        (None, ("de", 3000), "was prepared for target language 'it', not 'de'"),
        (None, ("it", 3001), "was prepared with --max-frames 3000, less than data.max_frames=3001"),
        (("corpus.json", "{"), ("it", 3000), "corpus.json: is damaged"),
        (
            ("corpus.json", '{"language": "it", "splits": [], "max_frames": 1, "vocabulary_size": 1}'),
            ("it", 1),
            "is of another version",
        ),
        (("train.tsv", "a\tb\n"), ("it", 3000), "train.tsv: is not a table of segments"),
    ],
)
def test_a_folder_that_does_not_fit_is_named(root, tmp_path, spoil, arguments, message):
    folder = prepared(root, tmp_path / "out")
    if spoil:
        damage(folder, *spoil)
    with pytest.raises(InputError, match=message):
        open_corpus(folder, *arguments).read("train")


def test_a_line_or_file_that_does_not_fit_is_named(root, tmp_path):
    folder = prepared(root, tmp_path / "out", "--shards")
    corpus = open_corpus(folder, "it", 3000)
    with pytest.raises(InputError, match=r"no split 'tst-HE' here \(there is train, dev, tst-COMMON\)"):
        corpus.read("tst-HE")
    mock_must_c.edit(folder / "dev.tsv", 2, "\t", " ")
    with pytest.raises(InputError, match="dev.tsv, line 3: does not fit"):
        corpus.read("dev")
    shard = corpus.read("train").segments[0].audio
    whole = shard.read_bytes()
    segment = corpus.read("train").segments[0]
    shard.write_bytes(whole[: segment.start + 200] + b"\0" * 40 + whole[segment.start + 240 :])
    with pytest.raises(InputError, match="train-00000.tar: segment ted_train1_0"):
        read_wav(segment)
    shard.write_bytes(whole[: segment.start + 100])
    with pytest.raises(InputError, match="train-00000.tar: segment ted_train1_0"):
        read_wav(segment)
    shard.unlink()
    with pytest.raises(InputError, match="train-00000.tar: no such file, but .*train.tsv names it"):
        corpus.read("train")


def test_a_table_without_a_segment_is_named(root, tmp_path):
    folder = prepared(root, tmp_path / "out")
    corpus = open_corpus(folder, "it", 10)  # all segments of training are longer
    with pytest.raises(InputError, match="train.tsv: no segment is left"):
        corpus.read("train")
    header = (folder / "dev.tsv").read_text().splitlines()[0]
    damage(folder, "dev.tsv", f"{header}\n")
    with pytest.raises(InputError, match="dev.tsv: no segment is left"):
        corpus.read("dev")


def test_a_wav_that_became_shorter_is_named(root):
    segment = open_corpus(root, "it", 3000).read("dev").segments[-1]
    with pytest.raises(InputError, match=r"ted_dev1.*has \d+ samples, 16000000 were expected; is the file cut off"):
        read_wav(replace(segment, samples=16_000_000))
