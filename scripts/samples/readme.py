"""Write the README.md of the built folder: what is real, what is rendered, and what results on it do not show."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from mmpt.scripts.samples import av_clips, split
from mmpt.scripts.samples.build_manifest import VERSION
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
)

TEXT = """\
# Built sample corpora

Corpora in the layouts of the published ones, so that every stage can be run offline. Dev and test are the same in
small and full builds, training is a part of it in small ones. This is a {size} build.

Written by `python scripts/samples/build.py` (version {version}) from the repository's `samples/`, whose README.md and
packs/README.md tell where each recording comes from and what is unproven about it. Do not edit: it is rebuilt.

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
- Dropped, because their text is also in dev or test: {dropped}.
- Noise is split by seconds: the test's silence class is cut from seconds that are not in training.

## The corpora
{corpora}

## Licences and credits to keep
The parts keep their own licences; copies are in `licences/`.
{licences}
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
    for name in LICENCES:
        target = root / "licences" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((samples / name).read_bytes())
    text = TEXT.format(
        version=VERSION,
        size=size,
        notice=av_clips.NOTICE,
        counts=count_table(built),
        mrt_split=listed(split.MRT_SPEAKERS.items()),
        reader_split=listed((f"{source} {name}", side) for (source, name), side in split.READERS.items()),
        corpora="\n".join(corpus.about(root, recordings) for corpus in corpora),
        dropped=", ".join(f"{clips} of {kind} {side}" for (kind, side), clips in sorted(dropped.items())),
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
