"""Write a second Speech Commands from the Modified Rhyme Test: ten of its words take the places of the ten commands."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmpt.scripts.samples import speech_commands, split
from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.recordings import Store, write_sound
from mmpt.scripts.samples.speech_commands import BACKGROUND, SILENCE, UNKNOWN, alias
from mmpt.scripts.samples.tables import Recording
from mmpt.scripts.samples.workers import Workers
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

ROOT = "mrt"  # a data root of its own, inside the built folder
TRAIN_ROOT, TEST_ROOT = f"{ROOT}/{speech_commands.TRAIN_ROOT}", f"{ROOT}/{speech_commands.TEST_ROOT}"

# Words that are in two batches (two takes per speaker), at places that are proven. Any two of them differ in at least
# two of onset, vowel and coda.
STAND_INS = {
    "yes": "sun",
    "no": "pay",
    "up": "came",
    "down": "sale",
    "left": "heat",
    "right": "dig",
    "on": "fill",
    "off": "pin",
    "stop": "kick",
    "go": "sip",
}

# The unknown class: words unlike the ten, two for each speaker, so that it has as many clips as a command.
UNKNOWN_WORDS = {"F1": ("bark", "toil"), "M3": ("vest", "gold"), "F3": ("bark", "vest"), "M4": ("toil", "gold")}

# The silence class, by source and seconds. For training, random seconds are drawn from long files, as in the published
# corpus; there are four, so that all twelve classes have four items. The test's seconds come after all of training's.
TRAINING_NOISE = (
    ("noise/music_cold_day.opus", 0, 7),
    ("noise/music_cold_day.opus", 7, 14),
    ("noise/music_system.opus", 0, 14),
    ("noise/pink.flac", 0, 7),
)
TEST_NOISE = (("noise/music_system.opus", 17, 18), ("noise/pink.flac", 8, 9))
NOISE_SOURCES = tuple(sorted({source for source, _, _ in TRAINING_NOISE + TEST_NOISE}))


@dataclass(frozen=True)
class Cut:
    """One file to write: `samples` samples of a recording, from sample `start` on."""

    source: str
    start: int
    samples: int
    file: str


def build(recordings: list[Recording], root: Path, store: Store, workers: Workers) -> list[BuiltFile]:
    """Write the training and the test folder."""
    spoken = plan_words([recording for recording in recordings if recording.kind == "mrt"], store)
    noises = plan_noises()
    workers.run(
        "Speech Commands of MRT words (wav)", partial(write_cut, root, store), [cut for cut, _ in spoken + noises]
    )
    built = [BuiltFile(f"{ROOT}/speech_commands", name, cut.file, (cut.source,)) for cut, name in spoken]
    for cut, name in noises:
        seconds = f"{cut.source}#{cut.start // SAMPLE_RATE}-{(cut.start + cut.samples) // SAMPLE_RATE}"
        built.append(BuiltFile(f"{ROOT}/speech_commands", name, cut.file, (seconds,)))
    return built


def about(root: Path, recordings: list[Recording]) -> str:
    """Describe the corpus for the README of the built folder."""
    stand_ins = ", ".join(f"{command} = {word}" for command, word in STAND_INS.items())
    return f"""\
- `{TRAIN_ROOT}/`, `{TEST_ROOT}/` (`--data-root {ROOT}`): another, real corpus of four speakers. Words of the Modified
  Rhyme Test lie in the folders of the command words: {stand_ins}.
  Each clip is one second around the word and so begins within the carrier sentence. Training has 4 clips of each of the
  twelve classes, dev and test have 2: one test clip is 4 points of accuracy."""


def plan_words(clips: list[Recording], store: Store) -> list[tuple[Cut, str]]:
    """Plan the cuts of the ten command words and of the unknown class, each with its split."""
    takes: dict[tuple[str, str], list[Recording]] = {}
    for clip in clips:
        takes.setdefault((clip.word, clip.speaker), []).append(clip)
    planned = []
    for speaker, name in split.MRT_SPEAKERS.items():
        for command, word in STAND_INS.items():
            found = takes.get((word, speaker), [])
            if len(found) != 2:
                raise InputError(f"mrt/clips.tsv: {speaker} says {word!r} {len(found)} times, not twice")
            planned += [(cut_word(take, command, number, store), name) for number, take in enumerate(found)]
        for number, word in enumerate(UNKNOWN_WORDS[speaker]):
            if (word, speaker) not in takes:
                raise InputError(f"mrt/clips.tsv: {speaker} never says {word!r}")
            # As published: in training the folder has the unknown word's own name, in test it is called _unknown_.
            folder, number = (UNKNOWN, number) if name == "test" else (word, 0)
            planned.append((cut_word(takes[word, speaker][0], folder, number, store), name))
    return planned


def cut_word(clip: Recording, folder: str, number: int, store: Store) -> Cut:
    """Plan one second with the word in its middle, shifted if necessary so that it lies inside the clip."""
    middle = round((clip.word_onset_s + clip.word_duration_s / 2) * SAMPLE_RATE)
    last_start = len(store.load(clip.source)) - SAMPLE_RATE
    if last_start < 0:
        raise InputError(f"{clip.source}: shorter than one second")
    corpus = TEST_ROOT if clip.split == "test" else TRAIN_ROOT
    file = f"{corpus}/{folder}/{alias(clip.speaker, clip.split)}_nohash_{number}.wav"
    return Cut(clip.source, min(max(0, middle - SAMPLE_RATE // 2), last_start), SAMPLE_RATE, file)


def plan_noises() -> list[tuple[Cut, str]]:
    """Plan the cuts of noise. S3PRL uses those of the training folder for dev, too."""
    planned = []
    for source, start_s, end_s in TRAINING_NOISE:
        file = f"{TRAIN_ROOT}/{BACKGROUND}/{Path(source).stem}_{start_s}.wav"
        planned.append((Cut(source, start_s * SAMPLE_RATE, (end_s - start_s) * SAMPLE_RATE, file), "train"))
    for source, start_s, end_s in TEST_NOISE:
        file = f"{TEST_ROOT}/{SILENCE}/{Path(source).stem}_{start_s}.wav"
        planned.append((Cut(source, start_s * SAMPLE_RATE, (end_s - start_s) * SAMPLE_RATE, file), "test"))
    return planned


def write_cut(root: Path, store: Store, cut: Cut) -> None:
    """Write one file."""
    wav = store.load(cut.source)[cut.start : cut.start + cut.samples]
    if len(wav) != cut.samples:
        raise InputError(f"{cut.source}: ends before sample {cut.start + cut.samples}")
    write_sound(root / cut.file, wav)
