"""SF's corpus: the items that S3PRL's loader expects, and errors about files that do not match."""

import pytest

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.ctc_corpora.slots import SnipsDataset
from mmpt.upstream.s3prl_runner.data import configs_folder

from helpers.other_corpora import snips

SPEAKERS = {"train_speakers": ["Ivy", "Joey"], "valid_speakers": ["Amy"], "test_speakers": ["Brian"]}


@pytest.fixture
def folder(tmp_path):
    snips(tmp_path)
    return tmp_path / "SNIPS"


@pytest.fixture
def tokenizer(folder):
    """S3PRL's own encoder, over our vocabulary and the corpus's slots."""
    text = pytest.importorskip("s3prl.downstream.ctc.text")
    letters = configs_folder() / "vocabulary" / "letter.txt"
    return text.load_text_encoder("character-slot", str(letters), str(folder / "slots.txt"))


def test_items_are_path_and_tokens_of_the_splits_speakers(folder, tokenizer):
    data = SnipsDataset(["train"], tokenizer, 1, str(folder), num_workers=0, **SPEAKERS)
    assert [path.rpartition("/")[2] for path, _ in data.items] == [
        f"{speaker}-snips-train-{index}.wav" for speaker in ("Ivy", "Joey") for index in (0, 1)
    ]
    decoded = tokenizer.decode(data[0][1])
    assert decoded == "PLAY B-artist ADELE AND CO E-artist IN B-city ROME E-city"
    assert tokenizer.unk_idx not in data[0][1] and tokenizer.vocab_size == 3 + 28 + 2 * 3


def test_buckets_are_windows_of_neighbours(folder, tokenizer):
    data = SnipsDataset(["train"], tokenizer, 3, str(folder), **SPEAKERS)
    assert [len(data[index]) for index in range(4)] == [3] * 4 and data[3] == data[1]


@pytest.mark.parametrize(
    "file, content, message",
    [
        ("all.iob.snips.txt", "Ivy-snips-train-0 BOS PLAY EOS\n", "line 1: expected"),
        ("all.iob.snips.txt", "Bo-snips-train-0 BOS PLAY EOS\tO O X\n", "no recording of Ivy, Joey has a line"),
        ("all.iob.snips.txt", "Ivy-snips-train-0 BOS PLAY EOS\tO song X\n", "slot 'B-song' of Ivy-snips-train-0"),
    ],
)
def test_files_that_do_not_match_are_errors(file, content, message, folder, tokenizer):
    (folder / file).write_text(content)
    with pytest.raises(InputError, match=message):
        SnipsDataset(["train"], tokenizer, 1, str(folder), **SPEAKERS)


def test_a_missing_split_is_an_error(folder, tokenizer):
    with pytest.raises(InputError, match="no .wav file here"):
        SnipsDataset(["absent"], tokenizer, 1, str(folder), absent_speakers=["Ivy"])
