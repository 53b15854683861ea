"""Write MuST-C as published, from the English recordings that have translations.

The files are must_c/en-XX/data/SPLIT/{wav/*.wav, txt/SPLIT.yaml, txt/SPLIT.en, txt/SPLIT.XX}. Some lines of one speaker
make a "talk". A line that has no pair in a language (see translation_pairs.py) is in the sound there and has no
segment, as in MuST-C.
"""

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import Store, write_sound
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.translation_pairs import LANGUAGES, Pairs, choose_pairs
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

# Dev and test come first: talks are numbered in this order, so that theirs have the same names in builds of any size.
FOLDERS = {"dev": "dev", "test": "tst-COMMON", "train": "train"}
SEGMENTS_PER_TALK = 8
SILENCE_SAMPLES = 6400  # 0.4 s before, between and after the segments


@dataclass(frozen=True)
class Talk:
    """One wav of several lines."""

    number: int  # from 1, over all splits, as MuST-C counts its TED talks
    split: str
    lines: tuple[Recording, ...]  # in order
    starts: tuple[int, ...]  # of the lines, in samples
    lengths: tuple[int, ...]  # of the lines, in samples
    languages: tuple[str, ...]  # that have segments of it

    @property
    def name(self) -> str:
        return f"ted_{self.number}.wav"

    def path(self, language: str) -> str:
        """Return the path of the wav in the built folder."""
        return f"must_c/en-{language}/data/{FOLDERS[self.split]}/wav/{self.name}"


def build(recordings: list[Recording], root: Path, store: Store, workers: Workers) -> list[BuiltFile]:
    """Write all languages: the sound once, hard-linked into the others (copied if links are impossible)."""
    all_pairs = [choose_pairs(recordings, language) for language in LANGUAGES]
    talks = plan_talks(recordings, all_pairs, store)
    workers.run("MuST-C (wav)", partial(write_talk, root, store), talks)
    for pairs in all_pairs:
        for name in FOLDERS:
            write_texts(root, pairs, name, [talk for talk in talks if talk.split == name])
    return [
        BuiltFile("must_c", talk.split, talk.path(language), tuple(line.source for line in talk.lines))
        for talk in talks
        for language in talk.languages
    ]


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    all_pairs = [choose_pairs(recordings, language) for language in LANGUAGES]
    rows = "\n".join(
        f"  | {pairs.language} | {count_segments(root, pairs.language)} | {sum(pairs.dropped.values())} |"
        for pairs in all_pairs
    )
    reasons: Counter[str] = Counter()
    for pairs in all_pairs:
        for (_, reason), number in pairs.dropped.items():
            reasons[reason] += number
    left_out = "; ".join(f"{reason}: {number}" for reason, number in sorted(reasons.items()))
    return f"""\
- `must_c/en-<lang>/data/{{train,dev,tst-COMMON}}/`: English lines with translations, joined to talks of up to
  {SEGMENTS_PER_TALK} lines of one speaker, with 0.4 s of silence between them. Sources: Beneath a Steel Sky, split by
  text; Drascula, whose player's character trains and whose other roles are in tst-COMMON; the prompts. ru and nl have
  prompts alone, pt has Beneath a Steel Sky alone. `speaker_id` is the role; those of Beneath a Steel Sky are clusters
  of voices, and are in all splits. The English text of Drascula is at times not quite what is said.
  One rule for pairs holds in training and tests. Left out over all languages: {left_out}.
  A line that is left out in a language is in the wav there, and has no segment.

  | language | train | dev | tst-COMMON | left out |
  |---|---|---|---|---|
{rows}
"""


def plan_talks(recordings: list[Recording], all_pairs: list[Pairs], store: Store) -> list[Talk]:
    """Join the lines of each split and speaker to talks, in the order of their tables; lines without any pair stay out.

    Args:
        recordings: of the build.
        all_pairs: of each language.
        store: holds the decoded recordings.
    """
    talks: list[Talk] = []
    for name in FOLDERS:
        speakers: dict[str, list[Recording]] = {}
        for item in recordings:
            if item.split == name and any(item.source in pairs.kept for pairs in all_pairs):
                speakers.setdefault(item.speaker, []).append(item)
        for lines in speakers.values():
            for start in range(0, len(lines), SEGMENTS_PER_TALK):
                group = tuple(lines[start : start + SEGMENTS_PER_TALK])
                talks.append(plan_talk(len(talks) + 1, group, all_pairs, store))
    return talks


def plan_talk(number: int, lines: tuple[Recording, ...], all_pairs: list[Pairs], store: Store) -> Talk:
    """Place the lines of one talk after each other."""
    lengths = tuple(len(store.load(line.source)) for line in lines)
    ends = np.cumsum([length + SILENCE_SAMPLES for length in lengths])
    starts = tuple(int(end) - length for end, length in zip(ends, lengths, strict=True))
    languages = tuple(pairs.language for pairs in all_pairs if any(line.source in pairs.kept for line in lines))
    return Talk(number, lines[0].split, lines, starts, lengths, languages)


def write_talk(root: Path, store: Store, talk: Talk) -> None:
    """Write the wav of one talk into its first language, and link it into the others."""
    wav = np.zeros(talk.starts[-1] + talk.lengths[-1] + SILENCE_SAMPLES, dtype=np.float32)
    for line, start, length in zip(talk.lines, talk.starts, talk.lengths, strict=True):
        wav[start : start + length] = store.load(line.source)
    first, *others = (root / talk.path(language) for language in talk.languages)
    write_sound(first, wav)
    for other in others:
        link(first, other)


def link(source: Path, target: Path) -> None:
    """Link `target` to `source`, or copy it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def write_texts(root: Path, pairs: Pairs, name: str, talks: list[Talk]) -> None:
    """Write the segment list and the two texts of a split; line n of each is segment n."""
    segments, english, translated = [], [], []
    for talk in talks:
        for line, start, length in zip(talk.lines, talk.starts, talk.lengths, strict=True):
            if line.source not in pairs.kept:
                continue
            segments.append(
                f"- {{duration: {length / SAMPLE_RATE:.6f}, offset: {start / SAMPLE_RATE:.6f}, "
                f"rW: {len(line.text.split())}, uW: 0, speaker_id: spk.{line.speaker}, wav: {talk.name}}}"
            )
            english.append(line.text)
            translated.append(pairs.kept[line.source])
    folder = root / f"must_c/en-{pairs.language}/data/{FOLDERS[name]}/txt"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, lines in (("yaml", segments), ("en", english), (pairs.language, translated)):
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"{FOLDERS[name]}.{suffix}").write_text(text, encoding="utf-8")


def count_segments(root: Path, language: str) -> str:
    """Return the numbers of segments in the built train, dev and test lists as cells of a table: "192 | 25 | 25"."""
    folders = (FOLDERS[name] for name in ("train", "dev", "test"))
    tables = (root / f"must_c/en-{language}/data/{folder}/txt/{folder}.yaml" for folder in folders)
    return " | ".join(str(len(table.read_text(encoding="utf-8").splitlines())) for table in tables)
