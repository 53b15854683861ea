"""Sub-words of a language: a SentencePiece unigram model (Kudo 2018), learned from training texts alone."""

import io
from pathlib import Path

import sentencepiece

from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_bytes

PAD, BOS, EOS, UNKNOWN = range(4)


class Vocabulary:
    """Turn texts into numbers and back.

    Args:
        model: a serialised SentencePiece model with the four special symbols above.
    """

    def __init__(self, model: bytes):
        self.model = model
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    def __len__(self) -> int:
        return self.processor.get_piece_size()

    def encode(self, text: str) -> list[int]:
        """Return the sub-words of a text, without BOS and EOS."""
        return self.processor.encode(text)

    def decode(self, tokens: list[int]) -> str:
        """Return the text of sub-words; special symbols are left out."""
        return self.processor.decode([t for t in tokens if t not in (PAD, BOS, EOS)])


def train_vocabulary(texts: list[str], size: int, option: str = "data.vocabulary_size") -> Vocabulary:
    """Learn a vocabulary; the same texts give the same one.

    Args:
        texts: to learn from.
        size: number of sub-words; fewer if the texts are too small for so many.
        option: the user's name for `size`, for the error.

    Raises:
        InputError: `size` is too small for the characters of the texts.
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
            num_threads=4,  # a fixed number: the result depends on how the threads share the sums
            minloglevel=2,
        )
    except RuntimeError as error:
        raise InputError(f"no vocabulary of {option}={size} can be learned from {len(texts)} texts: {error}") from None
    return Vocabulary(model.getvalue())


def load_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary from its file.

    Raises:
        InputError: the file is damaged or something else.
    """
    try:
        return Vocabulary(path.read_bytes())
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: not a SentencePiece model ({str(error).splitlines()[0]})") from None


def save_vocabulary(vocabulary: Vocabulary, path: Path) -> None:
    """Write a vocabulary's file, whole or not at all."""
    write_bytes(path, vocabulary.model)
