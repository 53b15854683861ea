"""The README of the built folder, and what must lie beside clips of packs: notices, licences, tables, speakers."""

import csv
from collections import Counter

from mmpt.scripts.samples import pack_tables, readme
from mmpt.scripts.samples.provenance import BuiltFile, read_provenance
from mmpt.scripts.samples.tables import Recording
from mmpt.upstream.repository import REPOSITORY

SAMPLES = REPOSITORY / "samples"
LINE, SOUND, PROMPT = "packs/queen/audio.zip/a.opus", "packs/sounds/audio.zip/s.opus", "asterisk/en/p.g722"
BUILT = [
    BuiltFile("av", "train", "av/train/a.mp4", (LINE,)),
    BuiltFile("av", "train", "av/train/s.mp4", (SOUND,)),
    BuiltFile("must_c", "dev", "must_c/en-it/a.wav", (PROMPT, LINE)),
    BuiltFile("must_c", "dev", "must_c/en-de/a.wav", (PROMPT, LINE)),
    BuiltFile("mrt/speech_commands", "test", "mrt/a.wav", ("noise/pink.flac#0-1",)),
]


def test_each_folder_with_clips_of_packs_says_that_they_are_modified(tmp_path):
    for folder in ("av", "must_c", "mrt"):
        (tmp_path / folder).mkdir()
    readme.write_notices(tmp_path, BUILT, SAMPLES)
    licences = {name: (SAMPLES / f"packs/{name}/LICENSE.txt").read_text() for name in ("queen", "sounds")}
    notice = (tmp_path / "av/NOTICE.txt").read_text()
    assert notice.startswith("THIS IS A MODIFIED VERSION: clips of queen, sounds in this folder")
    assert all(licence in notice for licence in licences.values())
    notice = (tmp_path / "must_c/NOTICE.txt").read_text()
    assert licences["queen"] in notice and licences["sounds"] not in notice
    assert not (tmp_path / "mrt/NOTICE.txt").exists()


def test_speakers_are_counted_by_their_different_clips(tmp_path):
    recordings = [
        Recording(source, "kind", "clip", speaker, "en", "", "train")
        for source, speaker in ((LINE, "queen-JOE"), (SOUND, "noise"), (PROMPT, "Allison"))
    ]
    readme.write_speakers(tmp_path, BUILT, recordings)
    assert (tmp_path / "speakers.tsv").read_text().splitlines() == [
        "corpus\tsplit\tspeaker\tclips",
        "av\ttrain\tnoise\t1",
        "av\ttrain\tqueen-JOE\t1",
        "must_c\tdev\tAllison\t1",
        "must_c\tdev\tqueen-JOE\t1",
    ]


def test_a_built_folder_has_licences_notices_and_tables_of_the_packs(built_samples):
    for name in (*readme.LICENCES, *pack_tables.PACK_TABLES):
        assert (built_samples / "licences" / name).read_bytes() == (SAMPLES / name).read_bytes()
    folders = {
        row.file.partition("/")[0]
        for row in read_provenance(built_samples)
        if any(clip.startswith("packs/") for clip in row.source_clips)
    }
    assert folders >= {"av", "must_c", "LibriSpeech", "diarization", "speech_commands_v0.01"} and "mrt" not in folders
    assert all("MODIFIED VERSION" in (built_samples / folder / "NOTICE.txt").read_text() for folder in folders)


def test_the_readme_has_the_size_and_the_counts(built_samples):
    text = (built_samples / "README.md").read_text()
    assert "**This is a small build.**" in text or "**This is a full build.**" in text
    rows = read_provenance(built_samples)
    counts = Counter((row.corpus, row.split) for row in rows)
    for corpus in {row.corpus for row in rows}:
        assert f"| {corpus} | " + " | ".join(str(counts[corpus, name]) for name in ("train", "dev", "test")) in text
    with (built_samples / "speakers.tsv").open(encoding="utf-8", newline="") as lines:
        mixed = {row["speaker"] for row in csv.DictReader(lines, delimiter="\t") if row["corpus"] == "diarization"}
    assert len(mixed) >= 30 and all(speaker.startswith("queen-") for speaker in mixed)
