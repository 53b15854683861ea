"""MuST-C's layout, its published quirks, and what is said of a tree that does not fit."""

import mock_must_c
import numpy as np
import pytest
import soundfile

from mmpt.midtrain.must_c import read_split, read_wav
from mmpt.upstream.errors import InputError


@pytest.fixture
def root(tmp_path):
    return mock_must_c.corpus(tmp_path / "must_c")


def txt(root, name="train"):
    return root / "en-it" / "data" / name / "txt" / name


def test_several_segments_of_a_talk_are_read_by_seeking(root):
    split = read_split(root, "it", "train", 3000)
    assert len(split.segments) == 12 and not split.changes
    assert len({s.id for s in split.segments}) == 12
    second = split.segments[1]
    whole, _ = soundfile.read(second.wav, dtype="float32")
    assert np.array_equal(read_wav(second).numpy(), whole[second.start : second.start + second.samples])
    assert second.samples == round(0.58 * 16_000) and second.target == "sei sette otto nove quattro cinque"


def test_block_yaml_and_quotes_read_the_same(root):
    lines = read_split(root, "it", "train", 3000).segments
    file = txt(root).with_suffix(".yaml")
    entries = file.read_text().strip().split("\n")
    blocks = ["- " + "\n  ".join(e[3:-1].split(", ")).replace("wav: ", "wav: '") + "'" for e in entries]
    file.write_text("\n".join(blocks) + "\n")
    assert read_split(root, "it", "train", 3000).segments == lines


def test_a_line_separator_inside_a_sentence_is_no_new_line(root):
    mock_must_c.edit(txt(root).with_suffix(".it"), 1, "sette", "sette\u2028\x85")
    assert len(read_split(root, "it", "train", 3000).segments) == 12


def test_unfit_training_segments_are_dropped_and_counted(root):
    yaml = txt(root).with_suffix(".yaml")
    mock_must_c.edit(txt(root).with_suffix(".it"), 0, "quattro cinque uno due tre", "  ")
    mock_must_c.edit(yaml, 2, "offset: ", "offset: 100")
    mock_must_c.edit(yaml, 5, "duration: 0.63", "duration: 0.00")
    split = read_split(root, "it", "train", 80)
    assert split.changes == {
        "dropped: without translation": 1, "dropped: past the end of the wav": 1, "dropped: without duration": 1,
        "dropped: longer than 80 frames": sum(s.frames > 80 for s in read_split(root, "it", "train", 3000).segments),
    }
    assert "1 dropped: without translation" in split.describe()


def test_of_dev_nothing_is_dropped_but_clipped(root):
    yaml = txt(root, "dev").with_suffix(".yaml")
    mock_must_c.edit(txt(root, "dev").with_suffix(".it"), 0, "quattro cinque uno due tre", "")
    mock_must_c.edit(yaml, 1, "offset: ", "offset: 100")
    mock_must_c.edit(yaml, 3, "duration: 0.8", "duration: 9.8")
    split = read_split(root, "it", "dev", 10)
    assert len(split.segments) == 4 and split.changes == {"clipped to the wav": 2}
    assert len(read_wav(split.segments[1])) == 1
    end = split.segments[3].start + split.segments[3].samples
    assert end == soundfile.info(split.segments[3].wav).frames == split.segments[3].start + len(read_wav(split.segments[3]))


def test_rounding_past_the_end_is_no_fault(root):
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


def not_utf8(root):
    txt(root).with_suffix(".it").write_bytes("perché\n".encode("latin-1") * 12)


def all_empty(root):
    txt(root).with_suffix(".it").write_text("\n" * 12)


@pytest.mark.parametrize("spoil, said", [
    (wrong_rate, "ted_train1.wav: 8000 Hz, 1 channels; 16000 Hz mono"),
    (stereo, "16000 Hz, 2 channels"),
    (no_wav, "ted_train2.wav: no such wav"),
    (not_audio, "ted_train2.wav: cannot be read as audio"),
    (fewer_lines, "train.it: 11 lines, but train.yaml lists 12 segments"),
    (no_yaml, "train.yaml: no such file"),
    (no_offset, "train.yaml, segment 3: has no offset"),
    (odd_offset, "train.yaml, segment 3: offset 'x"),
    (not_utf8, "train.it: not UTF-8 at byte 5"),
    (all_empty, "no segment is left; 12 dropped: without translation"),
])
def test_what_does_not_fit_is_named(root, spoil, said):
    spoil(root)
    with pytest.raises(InputError) as error:
        read_split(root, "it", "train", 3000)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_language_split_and_folder_must_be_there(root, tmp_path):
    for arguments, said in (((root, "de", "train"), "no target language 'de' here (there is it)"),
                            ((root, "it", "tst-HE"), "tst-HE.yaml: no such file"),
                            ((tmp_path / "nowhere", "it", "train"), "nowhere: no such folder"),
                            ((root / "en-it", "it", "train"), "no en-xx folder")):
        with pytest.raises(InputError, match=said.replace("(", r"\(").replace(")", r"\)")):
            read_split(*arguments, 3000)
