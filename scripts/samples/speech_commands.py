"""Write Speech Commands: real words cut from lines of games, and in training synthetic ones too.

S3PRL's twelve classes are fixed, and it splits training from dev by a hash of the speaker's part of the file name. So
each speaker gets an alias whose hash falls into the speaker's split.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from mmpt.scripts.samples import split
from mmpt.scripts.samples.keyword_cuts import Word, balanced, write_word
from mmpt.scripts.samples.pack_tables import read_word_times
from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import Store, write_sound
from mmpt.scripts.samples.size import is_small
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

TRAIN_ROOT = "speech_commands_v0.01"
TEST_ROOT = "speech_commands_test_set_v0.01"
BACKGROUND = "_background_noise_"
UNKNOWN = "_unknown_"
SILENCE = "_silence_"
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
CLASSES = (*COMMANDS, UNKNOWN, SILENCE)

# At most so many words of a class. Some commands are rare: fewer than these, and all of them are taken.
MOST = {"train": 150, "dev": 20, "test": 32}
MOST_UNKNOWN_IN_TRAINING = 400
SOUND_ALIKE = ("know", "write")  # words that sound like a command: they are in no class
NOISES = 40  # of training, in the background folder: S3PRL takes one second of each as dev's silence, too
ALIASES = "aliases.tsv"

# S3PRL's rule, which is Google's: a percentage below 10 is dev, below 20 is test and left out, the rest is training.
MAX_PER_CLASS = 2**27 - 1
PERCENTAGES = {"train": (20, 101), "dev": (0, 10), "test": (10, 20)}


def build(recordings: list[Recording], root: Path, store: Store, workers: Workers) -> list[BuiltFile]:
    """Write the training and the test folder."""
    words = plan_words(recordings, store.samples)
    files = name_files(words)
    workers.run("Speech Commands (wav)", partial(write_file, root, store), list(files.items()))
    write_aliases(root, words)
    noises = plan_noises(recordings, store)
    for file, (sound, seconds) in noises.items():
        wav = store.load(sound.source)
        write_sound(root / file, wav[: seconds * SAMPLE_RATE] if seconds else wav)
    built = [BuiltFile("speech_commands", word.split, file, (word.source,)) for file, word in files.items()]
    return built + [
        BuiltFile("speech_commands", sound.split, file, (sound.source,)) for file, (sound, _) in noises.items()
    ]


def plan_words(recordings: list[Recording], samples: Path) -> list[Word]:
    """Return the words of all splits: in dev and test real ones of unseen roles alone."""
    spoken = [*real_words(recordings, samples), *synthetic_words(recordings)]
    chosen = []
    for name in split.SPLITS:
        of_split = [word for word in spoken if word.split == name]
        commands = balanced((word for word in of_split if word.label != UNKNOWN), MOST[name])
        most = MOST_UNKNOWN_IN_TRAINING if name == "train" else MOST[name]
        chosen += commands + balanced((word for word in of_split if word.label == UNKNOWN), most)
    return chosen


def real_words(recordings: Iterable[Recording], samples: Path) -> list[Word]:
    """Return the words of lines with known times: of queen; in training of bass, too, whose roles are uncertain."""
    lines = {
        item.clip: item
        for item in recordings
        if item.kind == "queen"
        and item.speaker != f"queen-{split.QUEEN_UNKNOWN}"
        or item.kind == "bass"
        and item.split == "train"
    }
    words = []
    for time in read_word_times(samples):
        if (line := lines.get(time.clip)) is not None and time.word not in SOUND_ALIKE:
            label = time.word if time.word in COMMANDS else UNKNOWN
            folder = UNKNOWN if label == UNKNOWN and line.split == "test" else time.word
            words.append(Word(line.source, line.speaker, label, folder, line.split, time.start_s, time.end_s))
    return words


def synthetic_words(recordings: Iterable[Recording]) -> list[Word]:
    """Return the synthetic words of the training voices."""
    return [
        Word(item.source, item.speaker, item.word if item.word in COMMANDS else UNKNOWN, item.word, item.split)
        for item in recordings
        if item.kind == "word" and item.split == "train"
    ]


def name_files(words: Iterable[Word]) -> dict[str, Word]:
    """Return path in the built folder → word, numbered for each folder and speaker."""
    files: dict[str, Word] = {}
    numbers: Counter[str] = Counter()
    for word in words:
        corpus = TEST_ROOT if word.split == "test" else TRAIN_ROOT
        prefix = f"{corpus}/{word.folder}/{alias(word.speaker, word.split)}_nohash_"
        files[f"{prefix}{numbers[prefix]}.wav"] = word
        numbers[prefix] += 1
    return files


def write_file(root: Path, store: Store, named: tuple[str, Word]) -> None:
    """Write one word."""
    file, word = named
    write_word(root / file, store, word)


def write_aliases(root: Path, words: Iterable[Word]) -> None:
    """Write who is behind each alias into both folders: columns alias, speaker."""
    speakers = {(TEST_ROOT if word.split == "test" else TRAIN_ROOT, word.speaker, word.split) for word in words}
    for corpus in (TRAIN_ROOT, TEST_ROOT):
        rows = [f"{alias(name, side)}\t{name}\n" for folder, name, side in sorted(speakers) if folder == corpus]
        (root / corpus / ALIASES).write_text("alias\tspeaker\n" + "".join(rows), encoding="utf-8")


def plan_noises(recordings: Iterable[Recording], store: Store) -> dict[str, tuple[Recording, int]]:
    """Return path → sound and how many of its seconds, 0 for all. Some train; the first second of others tests.

    Only sounds that small builds have are taken for training, since S3PRL's dev has them, too.
    """
    usable: dict[str, list[Recording]] = {name: [] for name in split.SPLITS}
    for item in sorted(recordings, key=lambda item: split.percent(f"silence {item.clip}")):
        if item.kind == "sound" and len(store.load(item.source)) >= SAMPLE_RATE:
            usable[item.split].append(item)
    train = [item for item in usable["train"] if is_small(item)][:NOISES]
    found = {f"{TRAIN_ROOT}/{BACKGROUND}/{item.clip}.wav": (item, 0) for item in train}
    return found | {f"{TEST_ROOT}/{SILENCE}/{item.clip}.wav": (item, 1) for item in usable["test"][: MOST["test"]]}


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    rows = "\n".join(class_rows(root))
    return f"""\
- `{TRAIN_ROOT}/`, `{TEST_ROOT}/`: the ten commands and other words,
  cut from the lines of games at times that a recogniser gave (a word may be cut short, or hold a part of its
  neighbour), one second each. **Dev and test are real speech of unseen roles of queen**; training has lines of bass and
  synthetic voices, too. Loudness, fades and the noise around a word are the same for all. Words that sound like a
  command ({", ".join(SOUND_ALIKE)}) are left out. Silence is noise and music without speech; dev has the files of
  training, as in S3PRL. A file's name begins with an alias of the role, which {ALIASES} tells.
  `down` and `left` are rare. S3PRL draws dev by class, with replacement: its score is about a mean over classes, of
  which the only clips of `down` and `off` are a twelfth each. Test is counted by clip.

  | class | training | of it synthetic | dev | test | of the test |
  |---|---|---|---|---|---|
{rows}
"""


def class_rows(root: Path) -> list[str]:
    """Return the rows of the table of classes, counted in the built folder."""
    train, test = root / TRAIN_ROOT, root / TEST_ROOT
    voices = {alias(voice, "train") for voice in split.VOICES_TRAIN}
    counts: Counter[tuple[str, str]] = Counter()
    for path in train.glob("*/*.wav"):
        name = path.parent.name
        label = SILENCE if name == BACKGROUND else name if name in COMMANDS else UNKNOWN
        speaker = path.name.partition("_nohash_")[0]
        if label == SILENCE:
            counts.update([(label, "train"), (label, "dev")])
        else:
            counts[label, "dev" if hash_percentage(speaker) < PERCENTAGES["dev"][1] else "train"] += 1
            counts[label, "synthetic"] += speaker in voices
    for path in test.glob("*/*.wav"):
        counts[path.parent.name, "test"] += 1
    columns = ("train", "synthetic", "dev", "test")
    for name in columns:
        counts["all", name] = sum(counts[label, name] for label in CLASSES)
    return [
        f"  | {label} | {' | '.join(str(counts[label, name]) for name in columns)} "
        f"| {counts[label, 'test'] / counts['all', 'test']:.1%} |"
        for label in (*CLASSES, "all")
    ]


def alias(speaker: str, name: str) -> str:
    """Return the first of a fixed series of names (eight hexadecimal digits, as published) that hashes to the split."""
    low, high = PERCENTAGES[name]
    number = 0
    while True:
        candidate = hashlib.sha1(f"{speaker} {number}".encode()).hexdigest()[:8]
        if low <= hash_percentage(candidate) < high:
            return candidate
        number += 1


def hash_percentage(name: str) -> float:
    """Return the percentage that S3PRL's rule computes from the speaker part of a file name."""
    number = int(hashlib.sha1(name.encode()).hexdigest(), 16)
    return number % (MAX_PER_CLASS + 1) * (100.0 / MAX_PER_CLASS)
