"""LibriSpeech as phone sequences: the data class that S3PRL's phone recognition (`-d ctc`) asks for.

The layout is LibriSpeech's (`split/speaker/chapter/*.flac` beside `speaker-chapter.trans.txt`); a word's
phones are the first entry of the first lexicon that has it. S3PRL's own class draws, for every utterance, the
window of `bucket_size` utterances that follow it in order of length, so that an "epoch" has as many batches
as there are utterances; this one does the same, because the published step counts assume it.
"""

from __future__ import annotations

from pathlib import Path

from torch.utils.data import Dataset

from mmpt.upstream.errors import InputError


class PhoneCorpusError(InputError):
    """Lexicon and transcripts do not fit together; the message names the file and the word."""


class LibriPhoneDataset(Dataset):
    """Pairs of (path of the recording, phone ids), or lists of such pairs for a bucketed training set.

    Args:
        splits: folders of `path`, such as `["train-clean-100"]`.
        tokenizer: S3PRL's word text encoder over the phone vocabulary; it appends the end symbol.
        bucket_size: utterances in an item; 1 gives single pairs (evaluation, or no bucketing).
        path: LibriSpeech's root.
        lexicon: files with lines `WORD PH PH ...`, in order of precedence; `WORD(2)` lines are alternatives
            and are not used.
        ascending: shortest phone sequence first; S3PRL's order is longest first.
        unknown_words: phone that stands for a word of no lexicon, as Kaldi has SPN; None makes it an error.

    Raises:
        PhoneCorpusError: a missing folder, transcript or lexicon, a phone outside the vocabulary, or a
            word that no lexicon has.
    """

    def __init__(self, splits, tokenizer, bucket_size, path, lexicon, ascending=False, unknown_words=None, **_):
        self.bucket_size = bucket_size
        pronunciations = read_lexicons(lexicon)
        _check_phones(pronunciations, tokenizer)
        items = [
            (str(recording), tokenizer.encode(" ".join(phones)))
            for split in splits
            for recording, phones in _phone_transcripts(Path(path) / split, pronunciations, unknown_words)
        ]
        # The path breaks ties, so that the order does not hang on the file system.
        items.sort(key=lambda item: (len(item[1]) if ascending else -len(item[1]), item[0]))
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        if self.bucket_size == 1:
            return self.items[index]
        start = max(0, min(index, len(self.items) - self.bucket_size))
        return self.items[start : start + self.bucket_size]


def read_lexicons(files: list[str]) -> dict[str, tuple[list[str], str]]:
    """Word → (phones, file it came from); the first entry of the first file wins.

    LibriSpeech's form (`WORD PH PH`) and CMUdict's two: `;;;` and `#` begin comments, and words may be in lower case.
    """
    pronunciations: dict[str, tuple[list[str], str]] = {}
    for file in [files] if isinstance(files, (str, Path)) else files:
        try:
            content = Path(file).read_bytes()
            lines = content.decode(
                "latin-1" if content.startswith(b";;;") else "utf-8"
            ).splitlines()  # cmudict-0.7b is Latin-1
        except (OSError, UnicodeDecodeError) as error:
            raise PhoneCorpusError(f"{file}: cannot be read as a lexicon ({_reason(error)})") from error
        for line in lines:
            word, *phones = ("" if line.startswith(";;;") else line.partition(" #")[0]).split() or [""]
            if word:
                pronunciations.setdefault(word.upper(), (phones, str(file)))
    return pronunciations


def _check_phones(pronunciations: dict[str, tuple[list[str], str]], tokenizer) -> None:
    """Refuse a phone that the vocabulary lacks: it would silently be learned as `<unk>`."""
    known: set[str] = set()
    for word, (phones, file) in pronunciations.items():
        for phone in phones:
            if phone not in known and tokenizer.vocab_to_idx(phone) == tokenizer.unk_idx:
                raise PhoneCorpusError(
                    f"{file}: phone '{phone}' of '{word}' is not in the vocabulary (CMUdict's stressed symbols)"
                )
            known.add(phone)


def _phone_transcripts(split: Path, pronunciations: dict[str, tuple[list[str], str]], unknown_words: str | None):
    """Yield (recording, phones) for each recording of a split folder, in order of their paths."""
    recordings = sorted(split.rglob("*.flac"))
    if not recordings:
        raise PhoneCorpusError(f"{split}: no .flac file here; expected LibriSpeech's speaker/chapter/*.flac")
    chapters: dict[Path, dict[str, list[str]]] = {}
    for recording in recordings:
        chapter = recording.parent
        transcript = chapter / f"{chapter.parent.name}-{chapter.name}.trans.txt"
        if chapter not in chapters:
            chapters[chapter] = read_transcript(transcript)
        words = chapters[chapter].get(recording.stem)
        if words is None:
            raise PhoneCorpusError(f"{transcript}: no line for {recording.name}")
        missing = [word for word in words if word not in pronunciations]
        if missing and unknown_words is None:
            raise PhoneCorpusError(
                f"{transcript}: word '{missing[0]}' of {recording.stem} is in no lexicon; "
                "add a line 'WORD PH PH ...' to a file of corpus.lexicon"
            )
        yield recording, [phone for word in words for phone in pronunciations.get(word, ([unknown_words],))[0]]


def read_transcript(file: Path) -> dict[str, list[str]]:
    """Utterance → words of one `speaker-chapter.trans.txt`."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PhoneCorpusError(f"{file}: cannot be read as a transcript ({_reason(error)})") from error
    utterances = (line.split() for line in lines if line.strip())
    return {name: words for name, *words in utterances}


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "not UTF-8 text"
