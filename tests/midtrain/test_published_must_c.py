"""MuST-C's published layout and quirks, and the errors for folders that do not fit."""

import numpy as np
import pytest
import soundfile

from mmpt.midtrain.corpus import open_corpus
from mmpt.midtrain.segments import read_wav
from mmpt.upstream.errors import InputError

from helpers import mock_must_c


@pytest.fixture
def root(tmp_path):
    return mock_must_c.corpus(tmp_path / "must_c")


def read_split(root, language, name, max_frames):
    return open_corpus(root, language, max_frames).read(name)


def txt(root, name="train"):
    return root / "en-it" / "data" / name / "txt" / name


def test_several_segments_of_a_talk_are_read_by_seeking(root):
    split = read_split(root, "it", "train", 3000)
    assert len(split.segments) == 12 and not split.changes
    assert len({s.id for s in split.segments}) == 12
    second = split.segments[1]
    whole, _ = soundfile.read(second.audio, dtype="float32")
    assert np.array_equal(read_wav(second).numpy(), whole[second.start : second.start + second.samples])
    assert second.samples == round(0.58 * 16_000) and second.target == "sei sette otto nove quattro cinque"


def test_a_line_separator_inside_a_sentence_is_no_new_line(root):
    mock_must_c.edit(txt(root).with_suffix(".it"), 1, "sette", "sette\u2028\x85")
    file = txt(root).with_suffix(".it")
    # A byte order mark and Windows line ends change nothing, either.
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    segments = read_split(root, "it", "train", 3000).segments
    assert len(segments) == 12 and segments[0].target == "quattro cinque uno due tre" and "\u2028" in segments[1].target


def test_duplicates_are_reported_and_kept(root):
    for suffix in (".it", ".en"):
        file = txt(root).with_suffix(suffix)
        lines = file.read_text(encoding="utf-8").splitlines()
        file.write_text("\n".join([*lines[:4], lines[1], *lines[5:]]) + "\n", encoding="utf-8")
    split = read_split(root, "it", "train", 3000)
    assert len(split.segments) == 12 and split.changes == {
        "kept, though another segment has the same texts": ["ted_train2_4"]
    }


def test_a_speaker_is_read_if_one_is_named(root):
    mock_must_c.edit(txt(root).with_suffix(".yaml"), 0, "speaker_id: spk.1, ", "")
    speakers = [s.speaker for s in read_split(root, "it", "train", 3000).segments]
    assert speakers[:5] == ["", "spk.1", "spk.1", "spk.1", "spk.2"]


@pytest.mark.parametrize(
    "language, text",
    [("ru", "Привет, мир"), ("zh", "你好，世界"), ("ja", "こんにちは"), ("ar", "مرحبا بالعالم"), ("vi", "Xin chào")],
)
def test_all_scripts_are_read(tmp_path, language, text):
    txt_folder = mock_must_c.split(tmp_path, "tst-HE", talks=1, language=language)
    (txt_folder / f"tst-HE.{language}").write_text(f"{text}\n" * 4, encoding="utf-8")
    for folder in (tmp_path, tmp_path / f"en-{language}"):
        corpus = open_corpus(folder, language, 3000)
        segments = corpus.read("tst-HE").segments
        assert corpus.splits == ["tst-HE"] and len(segments) == 4 and {s.target for s in segments} == {text}


def test_unusable_training_segments_are_dropped_and_counted(root):
    yaml = txt(root).with_suffix(".yaml")
    mock_must_c.edit(txt(root).with_suffix(".it"), 0, "quattro cinque uno due tre", "  ")
    mock_must_c.edit(yaml, 2, "offset: ", "offset: 100")
    mock_must_c.edit(yaml, 5, "duration: 0.63", "duration: 0.00")
    split = read_split(root, "it", "train", 80)
    longer = [s.id for s in read_split(root, "it", "train", 3000).segments if s.frames > 80]
    assert split.changes == {
        "dropped: without translation": ["ted_train1_0"],
        "dropped: past the end of the wav": ["ted_train1_2"],
        "dropped: without duration": ["ted_train2_5"],
        "dropped: longer than 80 frames": longer,
    }
    assert len(split.segments) == 9 - len(longer) and "1 dropped: without translation" in split.describe()


def test_dev_segments_are_clipped_and_never_dropped(root):
    yaml = txt(root, "dev").with_suffix(".yaml")
    mock_must_c.edit(txt(root, "dev").with_suffix(".it"), 0, "quattro cinque uno due tre", "")
    mock_must_c.edit(yaml, 1, "offset: ", "offset: 100")
    mock_must_c.edit(yaml, 3, "duration: 0.8", "duration: 9.8")
    split = read_split(root, "it", "dev", 10)
    assert len(split.segments) == 4 and split.changes == {
        "kept without translation": ["ted_dev1_0"],
        "clipped to the wav": ["ted_dev1_1", "ted_dev1_3"],
    }
    assert len(read_wav(split.segments[1])) == 1
    last = split.segments[3]
    assert last.start + last.samples == soundfile.info(last.audio).frames == last.start + len(read_wav(last))


def test_a_frame_past_the_end_is_taken_for_rounding(root):
    file = root / "en-it" / "data" / "train" / "wav" / "ted_train1.wav"
    last = read_split(root, "it", "train", 3000).segments[3]
    wav, _ = soundfile.read(file)
    soundfile.write(file, wav[: last.start + last.samples - 20], 16_000, subtype="PCM_16")
    split = read_split(root, "it", "train", 3000)
    assert not split.changes and split.segments[3].samples == last.samples - 20


def wrong_rate(root):
    mock_must_c.talk(root / "en-it/data/train/wav/ted_train1.wav", 5, rate=8000)


def stereo(root):
    mock_must_c.talk(root / "en-it/data/train/wav/ted_train1.wav", 5, channels=2)


def no_wav(root):
    (root / "en-it/data/train/wav/ted_train2.wav").unlink()


def not_audio(root):
    (root / "en-it/data/train/wav/ted_train2.wav").write_bytes(b"no audio")


def fewer_lines(root):
    file = txt(root).with_suffix(".it")
    file.write_text("\n".join(file.read_text().split("\n")[:-2]) + "\n")


def no_yaml(root):
    txt(root).with_suffix(".yaml").unlink()


def no_offset(root):
    mock_must_c.edit(txt(root).with_suffix(".yaml"), 2, "offset", "begin")


def odd_offset(root):
    mock_must_c.edit(txt(root).with_suffix(".yaml"), 2, "offset: ", "offset: x")


def negative_offset(root):
    mock_must_c.edit(txt(root).with_suffix(".yaml"), 2, "offset: ", "offset: -9")


def empty_wav(root):
    mock_must_c.talk(root / "en-it/data/train/wav/ted_train1.wav", 0)


def not_yaml(root):
    txt(root).with_suffix(".yaml").write_text("- {offset: [}\n")


def no_list(root):
    txt(root).with_suffix(".yaml").write_text("offset: 1\n")


def not_utf8(root):
    txt(root).with_suffix(".it").write_bytes("perché\n".encode("latin-1") * 12)


def all_empty(root):
    txt(root).with_suffix(".it").write_text("\n" * 12)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (wrong_rate, "ted_train1.wav: 8000 Hz, 1 channels; 16000 Hz mono"),
        (stereo, "16000 Hz, 2 channels"),
        (no_wav, "ted_train2.wav: no such wav"),
        (not_audio, "ted_train2.wav: cannot be read as audio"),
        (fewer_lines, "train.it: 11 lines, but train.yaml lists 12 segments"),
        (no_yaml, "train.yaml: no such file"),
        (no_offset, "train.yaml, segment 3: has no offset"),
        (odd_offset, "train.yaml, segment 3: offset 'x"),
        (negative_offset, "train.yaml, segment 3: offset -9"),
        (empty_wav, "ted_train1.wav: holds no audio"),
        (no_list, "train.yaml: not a list of segments"),
        (not_utf8, "train.it: not UTF-8 at byte 5"),
        (all_empty, "no segment is left; 12 dropped: without translation"),
    ],
)
def test_errors_name_file_and_fault(root, spoil, message):
    spoil(root)
    with pytest.raises(InputError) as error:
        read_split(root, "it", "train", 3000)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_broken_yaml_is_reported_with_its_place(root):
    not_yaml(root)
    with pytest.raises(InputError, match=r"train.yaml: not valid YAML: (?s:.*)line 1"):
        read_split(root, "it", "train", 3000)


def test_language_split_and_folder_must_be_there(root, tmp_path):
    for arguments, message in (
        ((root, "de", "train"), "no target language 'de' here (there is it)"),
        ((root, "it", "tst-HE"), "no split 'tst-HE' here (there is train, dev, tst-COMMON)"),
        ((tmp_path / "nowhere", "it", "train"), "nowhere: no such folder"),
        ((root / "en-it", "de", "train"), "no en-xx folder"),
    ):
        with pytest.raises(InputError, match=message.replace("(", r"\(").replace(")", r"\)")):
            read_split(*arguments, 3000)
