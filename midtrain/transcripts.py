"""LibriSpeech's transcripts as a corpus of stage 2, in place of translations: mid-training on speech recognition."""

from pathlib import Path

import soundfile

from mmpt.midtrain.corpus import TranslationCorpus, corpus_name
from mmpt.midtrain.segments import TRAIN, Segment, Split
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.s3prl_runner.ctc_corpora.phones import read_transcript

LANGUAGE = "en"


class TranscribedCorpus(TranslationCorpus):
    """LibriSpeech as published; the "translation" of an utterance is its transcript, in lower case.

    Args:
        root: the folder LibriSpeech.
        folders: name of a split in stage 2 (train, dev, tst-COMMON) → folders of LibriSpeech.
        max_frames: longer training utterances are dropped.
    """

    def __init__(self, root: Path, folders: dict[str, list[str]], max_frames: int):
        super().__init__(corpus_name("librispeech transcripts", root), LANGUAGE, list(folders), root)
        self.folders, self.max_frames = folders, max_frames

    def read_split(self, name: str) -> Split:
        segments = [segment for folder in self.folders[name] for segment in read_folder(self.folder / folder)]
        long = [s.id for s in segments if name == TRAIN and s.frames > self.max_frames]
        changes = {f"dropped: longer than {self.max_frames} frames": long} if long else {}
        dropped = set(long)
        return Split(name, [segment for segment in segments if segment.id not in dropped], changes)


def read_folder(folder: Path) -> list[Segment]:
    """Return the utterances of a folder such as train-clean-100, in order of their names.

    Raises:
        InputError: there are no transcripts, or the recording of one is missing, damaged or not of 16 kHz.
    """
    segments = []
    for table in sorted(folder.glob("*/*/*.trans.txt")):
        for name, words in sorted(read_transcript(table).items()):
            text = " ".join(words).lower()
            audio = table.parent / f"{name}.flac"
            segments.append(Segment(name, audio, 0, count_samples(audio), text, text, table.parent.parent.name))
    if not segments:
        raise InputError(f"{folder}: no transcripts here; expected LibriSpeech's reader/chapter/*.trans.txt")
    return segments


def count_samples(audio: Path) -> int:
    """Return the length of a recording of 16 kHz. Raises InputError."""
    try:
        about = soundfile.info(str(audio))
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(f"{audio}: cannot be read: {error}") from None
    if about.samplerate != SAMPLE_RATE:
        raise InputError(f"{audio}: has {about.samplerate} samples a second, {SAMPLE_RATE} were expected")
    return about.frames
