"""LibriSpeech as phone sequences: the data class for S3PRL's phone recognition (`-d ctc`).

The layout is LibriSpeech's (`split/speaker/chapter/*.flac` beside `speaker-chapter.trans.txt`). A word's phones are the
first entry of the first lexicon that has the word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.ctc_corpora.windows import WindowedDataset


class PhoneCorpusError(InputError):
    """Lexicon and transcripts do not match. The message names the file and the word."""


class LibriPhoneDataset(WindowedDataset):
    """Recordings with their phones as ids.

    Args:
        splits: folders of `path`, such as `["train-clean-100"]`.
        tokenizer: S3PRL's word text encoder over the phone vocabulary; it appends the end symbol.
        bucket_size: utterances in an item; 1 gives single pairs (evaluation, or no bucketing).
        path: LibriSpeech's root.
        lexicon: files with lines `WORD PH PH ...`, in order of precedence; alternatives such as `WORD(2)` are not used.
        ascending: shortest phone sequence first; S3PRL's order is longest first.
        unknown_words: phone for a word of no lexicon, such as Kaldi's SPN; None makes such a word an error.

    Raises:
        PhoneCorpusError: a folder, transcript or lexicon is missing, a phone is not in the vocabulary, or a word is in
            no lexicon.
    """

    def __init__(self, splits, tokenizer, bucket_size, path, lexicon, ascending=False, unknown_words=None, **_):
        pronunciations = read_lexicons(lexicon)
        _check_phones(pronunciations, tokenizer)
        items = [
            (str(recording), tokenizer.encode(" ".join(phones)))
            for split in splits
            for recording, phones in _phone_transcripts(Path(path) / split, pronunciations, unknown_words)
        ]
        super().__init__(items, bucket_size, ascending)


def read_lexicons(files: str | Path | Sequence[str | Path]) -> dict[str, tuple[list[str], str]]:
    """Return word → (phones, file that has it); the first entry of the first file wins.

    Lexicons may have LibriSpeech's form (`WORD PH PH`) or either of CMUdict's: `;;;` and `#` begin comments, and words
    may be in lower case.
    """
    pronunciations: dict[str, tuple[list[str], str]] = {}
    for file in [files] if isinstance(files, (str, Path)) else files:
        try:
            content = Path(file).read_bytes()
            is_cmudict = content.startswith(b";;;")  # cmudict-0.7b is Latin-1
            lines = content.decode("latin-1" if is_cmudict else "utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise PhoneCorpusError(f"{file}: cannot be read as a lexicon ({_reason(error)})") from error
        for line in lines:
            word, *phones = ("" if line.startswith(";;;") else line.partition(" #")[0]).split() or [""]
            if word:
                pronunciations.setdefault(word.upper(), (phones, str(file)))
    return pronunciations


def _check_phones(pronunciations: dict[str, tuple[list[str], str]], tokenizer) -> None:
    """Refuse a phone that the vocabulary lacks: the model would silently learn it as `<unk>`."""
    known: set[str] = set()
    for word, (phones, file) in pronunciations.items():
        for phone in phones:
            if phone not in known and tokenizer.vocab_to_idx(phone) == tokenizer.unk_idx:
                raise PhoneCorpusError(
                    f"{file}: phone '{phone}' of '{word}' is not in the vocabulary (CMUdict's stressed symbols)"
                )
            known.add(phone)


def _phone_transcripts(
    split: Path, pronunciations: dict[str, tuple[list[str], str]], unknown_words: str | None
) -> Iterator[tuple[Path, list[str]]]:
    """Yield (recording, phones) of each recording of a split folder, in order of their paths."""
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
        noise = [unknown_words] if unknown_words is not None else []
        yield recording, [phone for word in words for phone in pronunciations.get(word, (noise, ""))[0]]


def read_transcript(file: Path) -> dict[str, list[str]]:
    """Return utterance → words of one `speaker-chapter.trans.txt`."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PhoneCorpusError(f"{file}: cannot be read as a transcript ({_reason(error)})") from error
    utterances = (line.split() for line in lines if line.strip())
    return {name: words for name, *words in utterances}


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "not UTF-8 text"
