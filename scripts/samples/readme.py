"""Write the README.md of the built folder: what is real, synthetic and rendered, and what results do not show."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from mmpt.scripts.samples import av_clips, pack_tables, split
from mmpt.scripts.samples.build_manifest import VERSION
from mmpt.scripts.samples.packs import is_packed
from mmpt.scripts.samples.provenance import BuiltFile
from mmpt.scripts.samples.tables import Recording

# Licences and credits that must stay with the parts; paths in samples/.
LICENCES = (
    "mrt/LICENSE.txt",
    "asterisk/LICENSE.txt",
    "asterisk/CREDITS.txt",
    "readers/LICENSE.harvard.txt",
    "readers/LICENSE.librivox-cards.txt",
    "noise/LICENSE.txt",
    "lexicon.LICENSE.txt",
    "packs/README.md",  # the notice that the clips of games are modified
    "packs/queen/LICENSE.txt",
    "packs/bass/LICENSE.txt",
    "packs/drascula/LICENSE.txt",
    "packs/commands/LICENSE.txt",
    "packs/commands/README.md",
    "packs/sounds/LICENSE.txt",
    "packs/sounds/README.md",
)

TEXT = """\
# Built sample corpora

Corpora in the layouts of the published ones, so that every stage can be run offline. **This is a {size} build.** Dev
and test are the same in small and full builds; training is a part in small ones, and all there is in full ones
(`python scripts/samples/build.py --out DIR --full`).

Written by `python scripts/samples/build.py` (version {version}) from the repository's `samples/`, whose README.md and
packs/README.md tell where each recording comes from and what is unproven about it. Do not edit: it is rebuilt.

## Real, synthetic and rendered
- **Real, acted speech**: lines of three games (queen, bass, drascula). **These clips are modified**: see
  licences/packs/README.md, and NOTICE.txt in each folder that holds some.
- **Real speech**: telephone prompts, the Modified Rhyme Test (MRT), readers.
- **Synthetic voices**: all of fluent_speech_commands_dataset, a part of the training of speech_commands, the set
  `{synthetic}` of av. No result on them is a result on people.
- **All video is rendered.** Opening, width and teeth of a drawn mouth follow energy and spectrum of the sound, 25
  times a second; no text, phone or label takes part. Each clip has a look (skin, lips, background, sizes) drawn from a
  hash of its name; it is unrelated to the person. Title and comment of every mp4: "{notice}".
- Sound is changed only as follows: decoded to 16 kHz mono of 16 bits, cut, faded and mixed with noise
  (speech_commands), joined with silence between (must_c), trimmed, cut off at 4 kHz, scaled and mixed (diarization),
  re-encoded (AAC in av, 16-bit WAV or FLAC elsewhere). The games have nothing above 5.5 kHz.
- Translations of the games are their own, and free. German and Dutch texts of the prompts are machine translations.

## Sound files by corpus and split
{counts}

`provenance.tsv` names the source clips in every sound file (`#a-b`: those seconds of a noise). `speakers.tsv` counts
the source clips of each corpus, split and speaker. In must_c, languages share their wavs, hard-linked.

## One split for all stages
What is dev or test in any task is in no stage's training.
- Queen, by role. Test: {queen_test}. Dev: {queen_dev}. All other roles train. Lines of cutscenes whose speaker is not
  told ({unknown}) train nothing and count as dev.
- Drascula, English and Spanish: {hacker} trains, the other roles are test.
- Bass, whose roles are clusters of voices and not persons: by text, for translation alone.
- Synthetic voices: whole voices. Test: {voices_test}. Dev: {voices_dev}.
- Noises and music: by source file. Those of the MRT words by seconds.
- MRT, by speaker: {mrt_split}.
- English prompts (Allison): the column `split` of samples/asterisk/prompts.tsv. French, Italian and Russian prompts: as
  the English prompt of the same id; train if there is none.
- Readers: {reader_split}.
- Dropped, because their text is also in dev or test: {dropped}.
  MRT, commands and single words split by speaker, since all speakers say the same. The exception is the
  commands' unseen phrases.

## The corpora
{corpora}

## Licences, credits and tables to keep
The parts keep their own licences; copies are in `licences/`, beside the tables of the packs.
{licences}
"""

NOTICE = """\
THIS IS A MODIFIED VERSION: clips of {packs} in this folder were decoded, resampled, cut and
recoded. They are not the originals. Keep this file with them: it holds their licences.
"""


def write_readme(
    root: Path,
    built: list[BuiltFile],
    recordings: list[Recording],
    samples: Path,
    corpora: Iterable[ModuleType],
    size: str,
    dropped: dict[tuple[str, str], int],
) -> None:
    """Write README.md and copy the licences beside it.

    Args:
        root: the built folder.
        built: its sound files.
        recordings: that it was built from.
        samples: where they come from.
        corpora: the builders, each of which describes its corpus.
        size: of the build.
        dropped: of each kind and split, clips whose text is on another side of the split.
    """
    for name in (*LICENCES, *pack_tables.PACK_TABLES):
        target = root / "licences" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((samples / name).read_bytes())
    write_notices(root, built, samples)
    write_speakers(root, built, recordings)
    text = TEXT.format(
        version=VERSION,
        size=size,
        notice=av_clips.NOTICE,
        synthetic=av_clips.SYNTHETIC,
        counts=count_table(built),
        queen_test=", ".join(split.QUEEN_TEST),
        queen_dev=", ".join(split.QUEEN_DEV),
        unknown=split.QUEEN_UNKNOWN,
        hacker=split.DRASCULA_TRAIN,
        voices_test=", ".join(split.VOICES_TEST),
        voices_dev=", ".join(split.VOICES_DEV),
        mrt_split=listed(split.MRT_SPEAKERS.items()),
        reader_split=listed((f"{source} {name}", side) for (source, name), side in split.READERS.items()),
        corpora="\n".join(corpus.about(root, recordings) for corpus in corpora),
        dropped=", ".join(f"{clips} of {kind} {side}" for (kind, side), clips in sorted(dropped.items())),
        licences="\n".join(f"- licences/{name}" for name in LICENCES),
    )
    (root / "README.md").write_text(text, encoding="utf-8")


def write_notices(root: Path, built: list[BuiltFile], samples: Path) -> None:
    """Write NOTICE.txt into every folder that holds clips of packs: what is modified, and the packs' licences."""
    packs: dict[str, set[str]] = {}
    for row in built:
        folder = row.file.partition("/")[0]
        packs.setdefault(folder, set()).update(clip.split("/")[1] for clip in row.source_clips if is_packed(clip))
    for folder, names in packs.items():
        if names:
            texts = [(samples / f"packs/{name}/LICENSE.txt").read_text(encoding="utf-8") for name in sorted(names)]
            notice = NOTICE.format(packs=", ".join(sorted(names)))
            (root / folder / "NOTICE.txt").write_text("\n\n".join([notice, *texts]), encoding="utf-8")


def write_speakers(root: Path, built: list[BuiltFile], recordings: list[Recording]) -> None:
    """Write speakers.tsv: the number of source clips of each corpus, split and speaker."""
    speakers = {item.source: item.speaker for item in recordings}
    clips = {(row.corpus, row.split, clip.partition("#")[0]) for row in built for clip in row.source_clips}
    counts = Counter((corpus, side, speakers[clip]) for corpus, side, clip in clips if clip in speakers)
    lines = ["\t".join(("corpus", "split", "speaker", "clips"))]
    lines += ["\t".join((*key, str(number))) for key, number in sorted(counts.items())]
    (root / "speakers.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


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
