"""PR's phone corpus: the items that S3PRL's loader expects, and errors about files that do not match."""

import importlib

import pytest

from mmpt.upstream.s3prl_runner.ctc_corpora.phones import LibriPhoneDataset, PhoneCorpusError, read_lexicons
from mmpt.upstream.s3prl_runner.data import configs_folder
from mmpt.upstream.s3prl_runner.registration import CTC_CORPORA

from helpers.stock_mocks import WORDS, librispeech

VOCABULARY = configs_folder() / "vocabulary" / "phoneme.txt"


class Tokenizer:
    """S3PRL's word encoder in a few lines: three special symbols, then the vocabulary; it appends <eos>."""

    unk_idx = 2

    def __init__(self):
        self.symbols = ["<pad>", "<eos>", "<unk>", *VOCABULARY.read_text().split()]

    def vocab_to_idx(self, symbol):
        return self.symbols.index(symbol) if symbol in self.symbols else self.unk_idx

    def encode(self, text):
        return [*map(self.vocab_to_idx, text.split()), 1]


@pytest.fixture
def corpus(tmp_path):
    """Make six utterances of two words in each split."""
    librispeech(tmp_path)
    folder = tmp_path / "LibriSpeech"
    return {"path": str(folder), "lexicon": [str(folder / "lexicon" / "samples-lexicon.txt")]}


def test_items_are_path_and_phones_longest_first(corpus):
    data = LibriPhoneDataset(["dev-clean"], Tokenizer(), 1, **corpus, num_workers=0, dev=["dev-clean"])
    lengths = [len(phones) for _, phones in data.items]
    assert len(data) == 6 and lengths == sorted(lengths, reverse=True)
    path, phones = data[0]
    assert path.endswith("1-7-0000.flac")
    assert phones == Tokenizer().encode(f"{WORDS['HELLO']} {WORDS['WORLD']}") and phones[-1] == 1


def test_buckets_are_windows_of_neighbours_and_never_short(corpus):
    data = LibriPhoneDataset(["train-clean-100"], Tokenizer(), 4, **corpus)
    assert len(data) == 6
    assert [len(data[index]) for index in range(6)] == [4] * 6
    assert data[5] == data[2] == data.items[2:6]
    assert len(LibriPhoneDataset(["train-clean-100"], Tokenizer(), 50, **corpus)[3]) == 6


def test_the_first_entry_of_the_first_lexicon_counts(tmp_path):
    (tmp_path / "a").write_text("READ R EH1 D\nREAD R IY1 D\nREAD(2)\tR IY1 D\n\n")
    (tmp_path / "b").write_text("READ R IY1 D\nTHE DH AH0\n")
    found = read_lexicons([tmp_path / "a", tmp_path / "b"])
    assert found["READ"] == (["R", "EH1", "D"], str(tmp_path / "a")) and found["THE"][0] == ["DH", "AH0"]


def edit(file, old, new):
    file.write_text(file.read_text().replace(old, new))


def test_a_word_outside_the_lexicon_is_named_with_its_file(corpus, tmp_path):
    edit(tmp_path / "LibriSpeech/lexicon/samples-lexicon.txt", "HELLO", "HALLO")
    with pytest.raises(PhoneCorpusError, match=r"1-7\.trans\.txt: word 'HELLO' of 1-7-0000 is in no lexicon"):
        LibriPhoneDataset(["dev-clean"], Tokenizer(), 1, **corpus)


def test_a_phone_outside_the_vocabulary_is_named(corpus, tmp_path):
    edit(tmp_path / "LibriSpeech/lexicon/samples-lexicon.txt", "ER1", "ER")
    with pytest.raises(PhoneCorpusError, match="phone 'ER' of 'WORLD'"):
        LibriPhoneDataset(["dev-clean"], Tokenizer(), 1, **corpus)


def test_cmudict_is_a_lexicon_in_both_its_forms(tmp_path):
    old, new = tmp_path / "cmudict-0.7b", tmp_path / "cmudict.dict"
    old.write_bytes(b";;; # CMUdict\nHELLO  HH AH0 L OW1\nHELLO(1)  HH EH0 L OW1\nD\xc9J\xc0  D EY1 ZH AA2\n")
    new.write_text("hello HH AH0 L OW1\nd'artagnan D AH0 R T AE1 NG Y AH0 N # foreign french\n")
    for file in (old, new):
        assert read_lexicons([file])["HELLO"][0] == ["HH", "AH0", "L", "OW1"]
    assert read_lexicons([new])["D'ARTAGNAN"][0][-1] == "N"


def test_words_of_no_lexicon_may_be_spoken_noise(corpus, tmp_path):
    edit(tmp_path / "LibriSpeech/lexicon/samples-lexicon.txt", "HELLO", "HALLO")
    data = LibriPhoneDataset(["dev-clean"], Tokenizer(), 1, **corpus, unknown_words="SPN")
    phones = dict(data.items)
    first = next(phones[path] for path in phones if path.endswith("1-7-0000.flac"))
    assert first == Tokenizer().encode(f"SPN {WORDS['WORLD']}")


def test_missing_files_are_named(corpus, tmp_path):
    with pytest.raises(PhoneCorpusError, match="test-other: no .flac"):
        LibriPhoneDataset(["test-other"], Tokenizer(), 1, **corpus)
    transcript = tmp_path / "LibriSpeech/dev-clean/1/7/1-7.trans.txt"
    edit(transcript, "1-7-0003", "1-7-9999")
    with pytest.raises(PhoneCorpusError, match="no line for 1-7-0003.flac"):
        LibriPhoneDataset(["dev-clean"], Tokenizer(), 1, **corpus)
    transcript.unlink()
    with pytest.raises(PhoneCorpusError, match="trans.txt: cannot be read as a transcript"):
        LibriPhoneDataset(["dev-clean"], Tokenizer(), 1, **corpus)
    with pytest.raises(PhoneCorpusError, match="nowhere: cannot be read as a lexicon"):
        LibriPhoneDataset(["dev-clean"], Tokenizer(), 1, corpus["path"], ["nowhere"])


@pytest.mark.parametrize("theirs, ours_is_found", [("snips.py", True), ("libriphone.py", False)])
def test_our_corpus_hides_none_of_s3prls_own(theirs, ours_is_found, tmp_path, monkeypatch):
    """S3PRL's git tree has `ctc/corpus/` without an `__init__.py`; its wheel has no such folder."""
    package = f"ctc_with_{theirs.removesuffix('.py')}"
    (tmp_path / package / "corpus").mkdir(parents=True)
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / package / "corpus" / theirs).write_text("OWNER = 'S3PRL'\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module(package).__path__.append(str(CTC_CORPORA))
    assert importlib.import_module(f"{package}.corpus.{theirs.removesuffix('.py')}").OWNER == "S3PRL"
    libriphone = importlib.import_module(f"{package}.corpus.libriphone")
    assert hasattr(libriphone, "LibriPhoneDataset") == ours_is_found


def test_the_vocabulary_is_cmudicts_stressed_symbols():
    symbols = VOCABULARY.read_text().split("\n")[:-1]
    assert len(symbols) == len(set(symbols)) == 71 and symbols[:2] == ["SIL", "SPN"]
    assert symbols[2:] == sorted(symbols[2:]) and sum(symbol[-1].isdigit() for symbol in symbols) == 45
