"""Write MuST-C as published, from the English prompts and their translations.

The files are must_c/en-XX/data/SPLIT/{wav/*.wav, txt/SPLIT.yaml, txt/SPLIT.en, txt/SPLIT.XX}. Several prompts make one
"talk". A prompt without a translation is in the sound and has no segment, as in MuST-C.
"""

import os
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import Store, write_sound
from mmpt.scripts.samples.tables import PROMPT_LANGUAGES, Recording
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

FOLDERS = {"train": "train", "dev": "dev", "test": "tst-COMMON"}
SEGMENTS_PER_TALK = 8
SILENCE_SAMPLES = 6400  # 0.4 s before, between and after the segments


@dataclass(frozen=True)
class Talk:
    """One wav of several prompts."""

    number: int  # from 1, over all splits, as MuST-C counts its TED talks
    split: str
    prompts: tuple[Recording, ...]  # in order
    starts: tuple[int, ...]  # of the prompts, in samples
    lengths: tuple[int, ...]  # of the prompts, in samples

    @property
    def name(self) -> str:
        return f"ted_{self.number}.wav"

    def path(self, language: str) -> str:
        """Return the path of the wav in the built folder."""
        return f"must_c/en-{language}/data/{FOLDERS[self.split]}/wav/{self.name}"


def build(recordings: list[Recording], root: Path, store: Store, workers: Workers) -> list[BuiltFile]:
    """Write the six languages: the sound once, hard-linked into the others (copied if links are impossible)."""
    talks = plan_talks([item for item in recordings if item.kind == "prompt" and item.language == "en"], store)
    first, *others = PROMPT_LANGUAGES
    workers.run("MuST-C (wav)", partial(write_talk, root, store, first), talks)
    for language in others:
        for talk in talks:
            link(root / talk.path(first), root / talk.path(language))
    for language in PROMPT_LANGUAGES:
        for name in FOLDERS:
            write_texts(root, language, name, [talk for talk in talks if talk.split == name])
    return [
        BuiltFile("must_c", talk.split, talk.path(language), tuple(prompt.source for prompt in talk.prompts))
        for language in PROMPT_LANGUAGES
        for talk in talks
    ]


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    segments = ", ".join(f"{language} {count_segments(root, language)}" for language in PROMPT_LANGUAGES)
    return f"""\
- `must_c/en-<lang>/data/{{train,dev,tst-COMMON}}/`: English prompts joined to talks of up to 8 segments, with 0.4 s of
  silence between them. A prompt without a translation is in the wav, not in the segment list. Segments: {segments}."""


def plan_talks(prompts: list[Recording], store: Store) -> list[Talk]:
    """Join the prompts of each split to talks, in the order of their table."""
    talks: list[Talk] = []
    for name in FOLDERS:
        members = [prompt for prompt in prompts if prompt.split == name]
        for start in range(0, len(members), SEGMENTS_PER_TALK):
            group = tuple(members[start : start + SEGMENTS_PER_TALK])
            lengths = tuple(len(store.load(prompt.source)) for prompt in group)
            ends = np.cumsum([length + SILENCE_SAMPLES for length in lengths])
            starts = tuple(int(end) - length for end, length in zip(ends, lengths, strict=True))
            talks.append(Talk(len(talks) + 1, name, group, starts, lengths))
    return talks


def write_talk(root: Path, store: Store, language: str, talk: Talk) -> None:
    """Write the wav of one talk."""
    wav = np.zeros(talk.starts[-1] + talk.lengths[-1] + SILENCE_SAMPLES, dtype=np.float32)
    for prompt, start, length in zip(talk.prompts, talk.starts, talk.lengths, strict=True):
        wav[start : start + length] = store.load(prompt.source)
    write_sound(root / talk.path(language), wav)


def link(source: Path, target: Path) -> None:
    """Link `target` to `source`, or copy it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def write_texts(root: Path, language: str, name: str, talks: list[Talk]) -> None:
    """Write the segment list and the two texts of a split; line n of each is segment n."""
    segments, english, translated = [], [], []
    for talk in talks:
        for prompt, start, length in zip(talk.prompts, talk.starts, talk.lengths, strict=True):
            if language not in prompt.translations:
                continue
            segments.append(
                f"- {{duration: {length / SAMPLE_RATE:.6f}, offset: {start / SAMPLE_RATE:.6f}, "
                f"rW: {len(prompt.text.split())}, uW: 0, speaker_id: spk.{talk.number}, wav: {talk.name}}}"
            )
            english.append(prompt.text)
            translated.append(prompt.translations[language])
    folder = root / f"must_c/en-{language}/data/{FOLDERS[name]}/txt"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, lines in (("yaml", segments), ("en", english), (language, translated)):
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"{FOLDERS[name]}.{suffix}").write_text(text, encoding="utf-8")


def count_segments(root: Path, language: str) -> str:
    """Return the numbers of segments in the built train, dev and test lists, such as "192/25/25"."""
    texts = root / f"must_c/en-{language}/data"
    tables = (texts / f"{folder}/txt/{folder}.yaml" for folder in FOLDERS.values())
    return "/".join(str(len(table.read_text(encoding="utf-8").splitlines())) for table in tables)
