"""LibriSpeech with lexicons for PR."""

from pathlib import Path

from mmpt.superb.data_checks.findings import ERROR, NOTE, WARNING, Finding, several
from mmpt.superb.data_checks.librispeech import Utterance, librispeech_texts, split_names
from mmpt.superb.data_checks.published import BOARD_LEXICONS, INCOMPARABLE, check_counts
from mmpt.superb.data_checks.recordings import check_ctc, check_format, check_readable, read_headers
from mmpt.upstream.s3prl_runner.ctc_corpora.phones import read_lexicons

END = "<eos>"  # S3PRL appends an end symbol


def check(config: dict, hop: int | None) -> list[Finding]:
    """Check lexicons, words and recordings."""
    corpus, text = config["downstream_expert"]["corpus"], config["downstream_expert"]["text"]
    lexicons = corpus["lexicon"]
    pronunciations = {word: phones for word, (phones, _) in read_lexicons(lexicons).items()}
    vocabulary = set(Path(text["vocab_file"]).read_text(encoding="utf-8").split())
    strange = sorted({phone for phones in pronunciations.values() for phone in phones} - vocabulary)
    found = several(ERROR, "pr", strange, f"phones of {', '.join(lexicons)} outside the vocabulary")
    names = [Path(file).name for file in lexicons]
    if names != BOARD_LEXICONS:
        found.append(Finding(WARNING, "pr", f"the lexicon is {', '.join(names)} and not S3PRL's two: {INCOMPARABLE}"))
    for split in split_names(corpus, "train", "dev", "test"):
        utterances, trouble = librispeech_texts("pr", Path(corpus["path"]) / split)
        found += trouble + _check_words(utterances, split, pronunciations, corpus.get("unknown_words"))
        headers = read_headers([file for file, _ in utterances], f"headers of {split}")
        found += check_readable("pr", headers) + check_format("pr", headers)
        found += check_counts("pr", {split: len(utterances)})
        labels = {
            file: [*(phone for word in words for phone in pronunciations.get(word, ["SPN"])), END]
            for file, words in utterances
        }
        found += check_ctc("pr", split, labels, headers, hop)
    return found


def _check_words(
    utterances: list[Utterance], split: str, pronunciations: dict[str, list[str]], unknown: str | None
) -> list[Finding]:
    missing = sorted({word for _, words in utterances for word in words} - pronunciations.keys())
    if unknown:
        return several(NOTE, "pr", missing, f"words of {split} in no lexicon, which count as {unknown}")
    what = f"words of {split} in no lexicon (add lines 'WORD PH PH' to a file, or use --lexicon)"
    return several(ERROR, "pr", missing, what)
