"""scripts/prepare/must_c.py: what it writes, continues and refuses."""

import json

import pytest
import soundfile
import webdataset

from mmpt.midtrain.corpus import open_corpus
from mmpt.midtrain.vocabulary import load_vocabulary
from mmpt.scripts.prepare import must_c, segment_shards
from mmpt.scripts.prepare.segment_shards import plan_shards
from mmpt.upstream.errors import InputError

from helpers import mock_must_c


@pytest.fixture
def root(tmp_path):
    return mock_must_c.corpus(tmp_path / "must_c")


def prepare(root, out, *options):
    arguments = ["--root", str(root), "--target-lang", "it", "--out", str(out)]
    return must_c.main([*arguments, "--vocabulary-size", "40", "--jobs", "1", *options])


def test_changes_are_reported(root, tmp_path, capsys):
    txt = root / "en-it/data"
    mock_must_c.edit(txt / "train/txt/train.yaml", 2, "offset: ", "offset: 100")
    mock_must_c.edit(txt / "dev/txt/dev.yaml", 3, "duration: 0.8", "duration: 9.8")
    for suffix in ("en", "it"):  # a training sentence in the test
        first = (txt / f"train/txt/train.{suffix}").read_text().split("\n")[0]
        lines = (txt / f"tst-COMMON/txt/tst-COMMON.{suffix}").read_text().split("\n")
        (txt / f"tst-COMMON/txt/tst-COMMON.{suffix}").write_text("\n".join([lines[0], first, *lines[2:]]))
    assert prepare(root, tmp_path / "out") == 0
    output, report = capsys.readouterr().out, (tmp_path / "out/report.md").read_text()
    assert "train: 11 segments" in output and "1 dropped: past the end of the wav" in output
    assert "midtrain/run.py --target-lang it" in output
    assert "- train: 1 dropped: past the end of the wav (ted_train1_2)" in report
    assert "- dev: 1 clipped to the wav (ted_dev1_3)" in report
    of_test = [line for line in report.splitlines() if line.startswith("- tst-COMMON")]
    assert any("texts of a training segment" in line and "ted_tst-COMMON1_1" in line for line in of_test)
    row = next(line for line in report.splitlines() if line.startswith("| train"))
    assert [cell.strip() for cell in row.split("|")][2] == "11" and [cell.strip() for cell in row.split("|")][4] == "3"
    about = json.loads((tmp_path / "out/corpus.json").read_text())
    assert about["splits"]["train"]["segments"] == 11 and about["splits"]["dev"]["changes"] == {"clipped to the wav": 1}
    assert (tmp_path / "out/lengths.png").read_bytes()[:4] == b"\x89PNG"


def test_the_vocabulary_is_learned_from_training_alone(root, tmp_path):
    for name in ("dev", "tst-COMMON"):
        file = root / f"en-it/data/{name}/txt/{name}.it"
        file.write_text("zzz www\n" * 4)
    assert prepare(root, tmp_path / "out") == 0
    vocabulary = load_vocabulary(tmp_path / "out/vocabulary.model")
    assert len(vocabulary) <= 40 and vocabulary.decode(vocabulary.encode("uno due")) == "uno due"
    pieces = [vocabulary.processor.id_to_piece(n) for n in range(len(vocabulary))]
    assert not any("z" in piece or "w" in piece for piece in pieces)


def test_webdataset_reads_the_shards(root, tmp_path):
    assert prepare(root, tmp_path / "out", "--shards", "--hours-per-shard", "0.0005") == 0  # 1.8 s
    segments = open_corpus(tmp_path / "out", "it", 3000).read("train").segments
    shards = sorted((tmp_path / "out/shards").glob("train-*.tar"))
    assert len(shards) > 2
    dataset = webdataset.WebDataset([str(file) for file in shards], shardshuffle=False)
    samples = list(dataset.decode(webdataset.autodecode.basichandlers))
    assert [sample["json"]["id"] for sample in samples] == [s.id for s in segments]
    assert [sample["json"]["target"] for sample in samples] == [s.target for s in segments]
    first = segments[0]
    with open(first.audio, "rb") as file:
        file.seek(first.start)
        assert file.read(first.flac_bytes) == samples[0]["flac"]


def test_shards_hold_the_wanted_hours(root):
    segments = open_corpus(root, "it", 3000).read("train").segments
    hours = 2 / 3600
    plan = plan_shards(segments, hours)
    assert [s for part in plan for s in part] == segments
    for part in plan:
        assert sum(s.samples for s in part[:-1]) < 32000 and (part is plan[-1] or sum(s.samples for s in part) >= 32000)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupted_call_is_continued(root, tmp_path, monkeypatch, jobs):
    """The third shard cannot be written at first; complete shards are not written again."""
    options = ("--shards", "--hours-per-shard", "0.0005")
    assert prepare(root, tmp_path / "whole", *options) == 0
    shards = tmp_path / "out/shards"
    broken = mock_must_c.corpus(tmp_path / "again")  # the same bytes
    talk = broken / "en-it/data/train/wav/ted_train3.wav"
    kept = talk.read_bytes()
    monkeypatch.setattr(segment_shards, "written", interrupted(segment_shards.written, talk))
    assert prepare(broken, tmp_path / "out", *options) == 2
    assert not (tmp_path / "out/corpus.json").exists()
    before = {file.name: file.stat().st_mtime_ns for file in shards.glob("*.tar")}
    assert before and len(before) < len(list((tmp_path / "whole/shards").glob("*.tar")))
    with pytest.raises(InputError, match="Prepare|no such folder|no split|should hold|no target"):
        open_corpus(tmp_path / "out", "it", 3000)
    monkeypatch.undo()
    talk.write_bytes(kept)
    assert prepare(broken, tmp_path / "out", *options, "--jobs", jobs) == 0
    assert all((shards / name).stat().st_mtime_ns == time for name, time in before.items())
    for file in (tmp_path / "whole/shards").glob("*.tar"):
        assert (shards / file.name).read_bytes() == file.read_bytes()


def interrupted(real, talk):
    """Return `written`, which runs after a talk has disappeared."""

    def written(todo, jobs):
        talk.unlink(missing_ok=True)
        return real(todo, jobs)

    return written


def test_a_folder_is_not_overwritten(root, tmp_path, capsys):
    out = tmp_path / "out"
    assert prepare(root, out) == 0
    (out / "mine.txt").write_text("keep")
    for options, message in (
        ((), "is prepared already; --fresh"),
        (("--max-frames", "80"), "was begun with other max_frames, segments_sha256"),
    ):
        assert prepare(root, out, *options) == 2 and message in capsys.readouterr().err
    assert prepare(root, out, "--max-frames", "80", "--fresh") == 0 and (out / "mine.txt").read_text() == "keep"
    assert open_corpus(out, "it", 80).read("train")
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("keep")
    assert prepare(root, other, "--fresh") == 2
    assert "is not empty and not made by this command" in capsys.readouterr().err
    assert [path.name for path in other.iterdir()] == ["mine.txt"]


def no_dev(root):
    (root / "en-it/data/dev").rename(root / "dev")


def misaligned(root):
    with open(root / "en-it/data/dev/txt/dev.it", "a", encoding="utf-8") as file:
        file.write("in più\n")


def bad_wav(root):
    soundfile.write(root / "en-it/data/train/wav/ted_train1.wav", [0.0] * 80, 8000)


@pytest.mark.parametrize(
    "spoil, options, message",
    [
        (None, ("--target-lang", "de"), "no target language 'de' here (there is it)"),
        (no_dev, (), "no split 'dev' here (there is train, tst-COMMON); was all of it unpacked?"),
        (misaligned, (), "dev.it: 5 lines, but dev.yaml lists 4 segments"),
        (bad_wav, (), "ted_train1.wav: 8000 Hz"),
        (None, ("--vocabulary-size", "5"), "no vocabulary of --vocabulary-size=5"),
        (None, ("--jobs", "0"), "--jobs must be above 0, not 0"),
        (None, ("--root", "nowhere"), "nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line(root, tmp_path, capsys, spoil, options, message):
    if spoil:
        spoil(root)
    assert prepare(root, tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.startswith("error: ")
    assert not (tmp_path / "out/corpus.json").exists()


def test_help_shows_the_next_command(capsys):
    with pytest.raises(SystemExit):
        must_c.main(["--help"])
    assert "midtrain/run.py --target-lang de --data data/must_c_de" in capsys.readouterr().out
