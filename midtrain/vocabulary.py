"""The target language's sub-words: a SentencePiece unigram model (Kudo 2018), trained on the training texts alone."""

import io
import os
from pathlib import Path

import sentencepiece

from mmpt.upstream.errors import InputError

PAD, BOS, EOS, UNKNOWN = range(4)


class Vocabulary:
    """Texts to numbers and back.

    Args:
        model: a serialised SentencePiece model with the four special symbols above.
    """

    def __init__(self, model: bytes):
        self.model = model
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    def __len__(self) -> int:
        return self.processor.get_piece_size()

    def encode(self, text: str) -> list[int]:
        """Sub-words of a text, without BOS and EOS."""
        return self.processor.encode(text)

    def decode(self, tokens: list[int]) -> str:
        """The text of sub-words; special symbols leave nothing."""
        return self.processor.decode([t for t in tokens if t not in (PAD, BOS, EOS)])


def train_vocabulary(texts: list[str], size: int, option: str = "data.vocabulary_size") -> Vocabulary:
    """A vocabulary of `size` sub-words, fewer where the text is too small for as many; the same for the same texts.

    Args:
        option: what the user calls `size`.

    Raises:
        InputError: `size` is too small for the text's characters.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="unigram",
            vocab_size=size,
            character_coverage=1.0,
            hard_vocab_limit=False,
            pad_id=PAD,
            bos_id=BOS,
            eos_id=EOS,
            unk_id=UNKNOWN,
            num_threads=4,  # a fixed number: sums over threads depend on it
            minloglevel=2,
        )
    except RuntimeError as error:
        raise InputError(f"no vocabulary of {option}={size} can be learned from {len(texts)} texts: {error}") from None
    return Vocabulary(model.getvalue())


def load_vocabulary(path: Path) -> Vocabulary:
    """A vocabulary from its file.

    Raises:
        InputError: it is damaged or something else.
    """
    try:
        return Vocabulary(path.read_bytes())
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: not a SentencePiece model ({str(error).splitlines()[0]})") from None


def save_vocabulary(vocabulary: Vocabulary, path: Path) -> None:
    """Writes the model's file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(vocabulary.model)
    os.replace(temporary, path)
