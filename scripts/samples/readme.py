"""Write the README.md of the built folder: what is real, what is rendered, and what results on it do not show."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mmpt.pretrain.manifest import COLUMNS
from mmpt.scripts.samples import av_clips, diarization, sample_must_c, speech_commands, split
from mmpt.scripts.samples.build_manifest import VERSION
from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.tables import TARGET_LANGUAGES

# Licences and credits that must stay with the parts; paths in samples/.
LICENCES = (
    "mrt/LICENSE.txt",
    "asterisk/LICENSE.txt",
    "asterisk/CREDITS.txt",
    "readers/LICENSE.harvard.txt",
    "readers/LICENSE.librivox-cards.txt",
    "noise/LICENSE.txt",
    "lexicon.LICENSE.txt",
)

TEXT = """\
# Built sample corpora

Small corpora in the layouts of the published ones, so that every stage can be run offline. **Results on them show that
the pipeline works, and nothing about the paper**: there is under an hour of speech by a dozen voices, other words take
the place of the tasks' content, and each speaker has a recording channel of their own.

Written by `python scripts/samples/build.py` (version {version}) from the repository's `samples/`, whose README.md tells
where each recording comes from and what is unproven about it. Do not edit: it is rebuilt from there.

## Real and rendered
- All speech is human and real. Sound is changed only as follows: decoded to 16 kHz mono, cut, joined with silence
  between (must_c), trimmed, scaled and mixed (diarization), re-encoded (AAC in av, 16-bit WAV or FLAC elsewhere).
- **All video is rendered.** Opening, width and teeth of a drawn mouth follow energy and spectrum of the sound, 25
  times a second; no text, phone or label takes part. Each clip has a look (skin, lips, background, sizes) drawn from a
  hash of its name; it is unrelated to the person. Title and comment of every mp4: "{notice}".
- German and Dutch texts are machine translations; for the other texts see samples/README.md.

## Sound files by corpus and split
{counts}

`provenance.tsv` names the source clips in every sound file (`#a-b`: those seconds of a noise). In must_c, all
languages have the same wavs, hard-linked.

## One split for all stages
An utterance that is dev or test in any task is in no stage's training.
- Modified Rhyme Test (MRT), by speaker: {mrt_split}.
- English prompts (Allison): the column `split` of samples/asterisk/prompts.tsv. French, Italian and Russian prompts: as
  the English prompt of the same id; train if there is none.
- Readers: {reader_split}.
- Noise is split by seconds: the test's silence class is cut from seconds that are not in training.

## The corpora
- `av/`: every clip, H.264 ({size} × {size} pixels, 25 frames a second, key frame every 2 s) and AAC in one mp4;
  `manifest.tsv` has the columns {manifest} (paths from its own folder).
- `must_c/en-<lang>/data/{{train,dev,tst-COMMON}}/`: English prompts joined to talks of up to 8 segments, with 0.4 s of
  silence between them. A prompt without a translation is in the wav, not in the segment list. Segments: {segments}.
- `speech_commands_v0.01/`, `speech_commands_test_set_v0.01/`: MRT words lie in the folders of the command words:
  {stand_ins}.
  The unknown class holds {unknown}.
  Each clip is one second around the word and so begins within the carrier sentence. Training has 4 clips of each of the
  twelve classes, test 2; dev has 2, and for silence the training noise, which S3PRL uses for both. With 24 test clips,
  one clip is 4 points of accuracy.
  S3PRL splits by a hash of the file name, so speakers have aliases:
  {aliases}.
- `fluent_speech_commands_dataset/`: all MRT clips; action, object and location are onset, vowel and coda of the word
  ("none" for a word without onset or coda). The 274 words are the same in training and test, the speakers are not.
- `LibriSpeech/`: train-clean-100 holds prompts, readers and half of the MRT clips (F1 odd lists, M3 even) of training;
  dev-clean and test-clean are prompts, dev-other and test-other readers. Dev and test hold no MRT, whose carrier
  sentence repeats. SPEAKERS.TXT maps readers to the names used in samples/. `len_for_bucket/` is for S3PRL's ASR,
  `lexicon/` for its phone recognition.
- `diarization/`: mixtures of two voices of the same split, all languages. Both speak in {overlap} of the speech time
  (train, dev, test). `wav.scp` holds absolute paths, as Kaldi's does: if you move this folder, run build.py on it
  again, which corrects them. Segments are trimmed to speech by energy; short pauses in an utterance count as speech.

## Licences and credits to keep
The parts keep their own licences; copies are in `licences/`.
{licences}
"""


def write_readme(root: Path, built: list[BuiltFile], samples: Path) -> None:
    """Write README.md and copy the licences beside it."""
    for name in LICENCES:
        target = root / "licences" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((samples / name).read_bytes())
    text = TEXT.format(
        version=VERSION,
        notice=av_clips.NOTICE,
        size=av_clips.mouths.SIZE,
        counts=count_table(built),
        mrt_split=listed(split.MRT_SPEAKERS.items()),
        reader_split=listed((f"{source} {name}", side) for (source, name), side in split.READERS.items()),
        manifest=", ".join(COLUMNS),
        segments=", ".join(
            f"{language} {sample_must_c.count_segments(root, language)}" for language in TARGET_LANGUAGES
        ),
        stand_ins=", ".join(f"{command} = {word}" for command, word in speech_commands.STAND_INS.items()),
        unknown="; ".join(f"{name}: {', '.join(words)}" for name, words in speech_commands.UNKNOWN_WORDS.items()),
        aliases=", ".join(
            f"{name} ({side}) {speech_commands.alias(name, side)}" for name, side in split.MRT_SPEAKERS.items()
        ),
        overlap=", ".join(f"{diarization.overlap_share(root / 'diarization' / name):.0%}" for name in split.SPLITS),
        licences="\n".join(f"- licences/{name}" for name in LICENCES),
    )
    (root / "README.md").write_text(text, encoding="utf-8")


def listed(pairs: Iterable[tuple[str, str]]) -> str:
    """Return pairs as "name side, name side"."""
    return ", ".join(f"{name} {side}" for name, side in pairs)


def count_table(built: list[BuiltFile]) -> str:
    """Return a Markdown table of the number of sound files, corpus by split."""
    counts = Counter((row.corpus, row.split) for row in built)
    corpora = list(dict.fromkeys(row.corpus for row in built))
    lines = ["| corpus | train | dev | test |", "|---|---|---|---|"]
    for corpus in corpora:
        lines.append(f"| {corpus} | " + " | ".join(str(counts[corpus, name]) for name in split.SPLITS) + " |")
    return "\n".join(lines)
