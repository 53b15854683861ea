"""LibriSpeech: which recording is in which folder, and the built folders through S3PRL's own data set classes."""

import csv
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import soundfile

from mmpt.scripts.samples.librispeech import plan_utterances
from mmpt.scripts.samples.librispeech_folders import MOST_OF_A_ROLE, PAPER_HOP, TRAIN, Chosen, choose
from mmpt.scripts.samples.pack_tables import LINES, read_packs
from mmpt.scripts.samples.packs import source_of
from mmpt.scripts.samples.size import FULL, SMALL
from mmpt.scripts.samples.size import choose as choose_size
from mmpt.scripts.samples.split import QUEEN_DEV, QUEEN_TEST
from mmpt.scripts.samples.tables import Recording, read_recordings
from mmpt.scripts.samples.texts import drop_repeated_texts, text_key
from mmpt.scripts.samples.words import read_lexicon, to_words
from mmpt.upstream.repository import REPOSITORY
from mmpt.upstream.s3prl_runner import repairs

SAMPLES = REPOSITORY / "samples"
VOCABULARY = REPOSITORY / "downstream_configs" / "vocabulary"
RATE = 16000
COUNTS = {"dev-clean": 258, "dev-other": 112, "test-clean": 745, "test-other": 361}  # the same in each build
TRAINING = ("train-clean-100", "train-other-500")
FOLDERS = (*TRAINING, *COUNTS)

LINE = Recording("", "queen", "clip", "queen-JOE", "en", "See the cat", "train")
LEXICON = dict.fromkeys("SEE THE CAT".split(), "S")


def folder(seconds: float = 2.0, **changes) -> str:
    """The folder of a changed LINE; empty if it is in none."""
    chosen = choose([replace(LINE, **changes)], LEXICON, lambda source: int(seconds * RATE))
    assert sum(map(len, chosen.folders.values())) + sum(chosen.left_out.values()) <= 1
    return next((name for name, items in chosen.folders.items() if items), "")


@cache
def table_samples() -> dict[str, int]:
    """Lengths of all English recordings by source, as their tables state them."""
    paths = {path: source_of(game, "") for game, language, path in LINES if language == "en"}
    seconds = {}
    for path, place in paths.items():
        with (SAMPLES / path).open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                seconds[place.replace(".opus", f"{row['id']}.opus")] = row["duration_s"]
    for path, place, name in (
        ("mrt/clips.tsv", "mrt/audio/{}.opus", "clip"),
        ("asterisk/prompts.tsv", "asterisk/en/{}.g722", "id"),
        ("readers/clips.tsv", "readers/{}.flac", "clip"),
    ):
        with (SAMPLES / path).open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                seconds[place.format(row[name])] = row["seconds"]
    return {source: int(float(value) * RATE) for source, value in seconds.items()}


@cache
def chosen_for(size: str) -> Chosen:
    """What a build of this size takes of the samples."""
    kept = drop_repeated_texts([*read_recordings(SAMPLES), *read_packs(SAMPLES)]).recordings
    return choose(choose_size(kept, size, ()), read_lexicon(SAMPLES), table_samples().__getitem__)


class TestFolders:
    @pytest.mark.parametrize(
        "changes, wanted",
        [
            ({}, "train-clean-100"),
            ({"text": "See the dog"}, "train-other-500"),
            ({"kind": "bass", "speaker": "bass-c01"}, "train-clean-100"),
            ({"kind": "drascula", "speaker": "drascula-HACKER"}, "train-clean-100"),
            ({"split": "dev", "speaker": "queen-BUD"}, "dev-clean"),
            ({"split": "dev", "speaker": "queen-BUD", "text": "See the dog"}, "dev-other"),
            ({"split": "dev", "speaker": "queen-CUT"}, "dev-other"),
            ({"split": "test", "speaker": "queen-BOB"}, "test-clean"),
            ({"split": "test", "speaker": "queen-BOB", "text": "See the dog"}, "test-other"),
            ({"split": "test", "kind": "drascula", "speaker": "drascula-IGOR"}, "test-other"),
            ({"split": "test", "kind": "prompt", "speaker": "Allison"}, "test-other"),
            ({"split": "dev", "kind": "reader", "speaker": "F2"}, "dev-other"),
        ],
    )
    def test_by_role_and_words(self, changes, wanted):
        assert folder(**changes) == wanted

    @pytest.mark.parametrize(
        "changes",
        [
            {"split": "test", "kind": "bass", "speaker": "bass-c01"},
            {"split": "dev", "kind": "mrt", "clip": "F3_b01_w1"},
            {"kind": "mrt", "speaker": "F1", "clip": "F1_b02_w1"},
            {"kind": "mrt", "speaker": "M3", "clip": "M3_b01_w1"},
            {"text": "See 2 cats"},
            {"text": "See the Größe"},
            {"text": "...?"},
            {"kind": "word", "speaker": "af_bella", "text": "see"},
            {"language": "es"},
        ],
    )
    def test_what_is_in_none(self, changes):
        assert folder(**changes) == ""

    def test_training_can_be_aligned_at_the_papers_frame_rate(self):
        """SEE|THE|CAT| and S3PRL's end are 13 labels, and a letter is repeated."""
        shortest = 14 * PAPER_HOP / RATE
        assert folder(shortest) == "train-clean-100"
        assert folder(shortest - PAPER_HOP / RATE) == ""
        assert folder(0.1, split="test", speaker="queen-BOB") == "test-clean"  # a test is not made easier

    def test_roles_weigh_alike(self):
        lines = [replace(LINE, source=str(n), clip=str(n), split="test", speaker="queen-BOB") for n in range(90)]
        few = [replace(line, source=f"few{line.clip}", speaker="queen-IAN") for line in lines[:9]]
        chosen = choose(lines + few, LEXICON, lambda source: 2 * RATE)
        assert Counter(item.speaker for item in chosen.folders["test-clean"]) == {"queen-BOB": 60, "queen-IAN": 9}
        again = choose(few + lines[::-1], LEXICON, lambda source: 2 * RATE)
        assert {item.source for item in again.folders["test-clean"]} == {
            item.source for item in chosen.folders["test-clean"]
        }
        assert chosen.left_out["lines of test-clean beyond 60 a role"] == 30


class TestSamples:
    def test_four_hours_of_training(self):
        samples = sum(table_samples()[item.source] for item in chosen_for(FULL).folders[TRAIN])
        assert samples / RATE / 3600 >= 4

    def test_dev_and_test_are_the_same_in_both_sizes(self):
        names = [
            {(item.folder, item.name, item.recording.source) for item in plan_utterances(chosen_for(size))}
            for size in (SMALL, FULL)
        ]
        small, full = ({row for row in rows if row[0] in COUNTS} for rows in names)
        assert small == full and len(small) == sum(COUNTS.values())
        assert len(names[0]) < len(names[1])

    @pytest.mark.parametrize("size", [SMALL, FULL])
    def test_a_reader_is_one_role(self, size):
        readers: dict[str, set] = {}
        for item in plan_utterances(chosen_for(size)):
            readers.setdefault(item.recording.speaker, set()).add(item.reader)
            assert item.name == f"{item.reader}-{item.chapter}-{item.number:04d}"
        numbers = [number for found in readers.values() for number in found]
        assert len(numbers) == len(set(numbers)) == len(readers)

    def test_no_text_is_in_training_and_in_dev_or_test(self):
        texts: dict[str, set] = {}
        for name, items in chosen_for(FULL).folders.items():
            said = {text_key(item.text) for item in items if item.kind != "mrt"}
            texts[name.split("-")[0]] = texts.get(name.split("-")[0], set()) | said
        assert not texts["train"] & (texts["dev"] | texts["test"]) and not texts["dev"] & texts["test"]

    def test_every_recording_is_in_a_folder_or_counted(self):
        chosen = chosen_for(FULL)
        kept = drop_repeated_texts([*read_recordings(SAMPLES), *read_packs(SAMPLES)]).recordings
        english = [item for item in kept if item.language == "en" and item.kind not in ("intent", "word")]
        assert sum(map(len, chosen.folders.values())) + sum(chosen.left_out.values()) == len(english)

    def test_every_word_of_clean_folders_has_phones_of_s3prl(self):
        lexicon = read_lexicon(SAMPLES)
        phones = set((VOCABULARY / "phoneme.txt").read_text().split())
        assert {phone for entry in lexicon.values() for phone in entry.split()} <= phones
        for name, items in chosen_for(FULL).folders.items():
            known = [set(to_words(item.text).split()) <= lexicon.keys() for item in items]
            assert all(known) if name.endswith(("clean", "100")) else not all(known)


class TestBuilt:
    @pytest.fixture
    def root(self, built_samples) -> Path:
        return built_samples / "LibriSpeech"

    def transcripts(self, root: Path, split: str) -> dict[str, str]:
        texts = {}
        for path in (root / split).rglob("*.trans.txt"):
            text = path.read_text(encoding="utf-8")
            assert text.endswith("\n")
            texts |= dict(line.split(" ", 1) for line in text.splitlines())
        return texts

    def speakers(self, root: Path) -> list[list[str]]:
        """Columns of SPEAKERS.TXT: reader, sex, folder, minutes, name."""
        lines = (root / "SPEAKERS.TXT").read_text().splitlines()
        return [[column.strip() for column in line.split("|")] for line in lines if line[0] != ";"]

    def test_texts_are_those_of_the_samples(self, root):
        kept = drop_repeated_texts([*read_recordings(SAMPLES), *read_packs(SAMPLES)]).recordings
        # As if all were long: by the rounded durations of the tables, two lines of training would be too short.
        wanted = choose(kept, read_lexicon(SAMPLES), lambda source: 10**9)
        for split in FOLDERS:
            texts = self.transcripts(root, split)
            assert set(texts) == {path.stem for path in (root / split).rglob("*.flac")}
            assert all(re.fullmatch(r"[A-Z']+( [A-Z']+)*", text) for text in texts.values())
            assert len(texts) == COUNTS.get(split, len(texts)) > 50
            assert set(texts.values()) <= {to_words(item.text) for item in wanted.folders[split]}

    def test_lexicon_has_the_words_of_clean_folders(self, root):
        lexicon = dict(line.split("\t") for line in (root / "lexicon/samples-lexicon.txt").read_text().splitlines())
        words = {split: set(" ".join(self.transcripts(root, split).values()).split()) for split in FOLDERS}
        clean = words["train-clean-100"] | words["dev-clean"] | words["test-clean"]
        assert clean <= set(lexicon) <= set().union(*words.values())
        for split in ("train-other-500", "dev-other", "test-other"):
            assert words[split] - set(lexicon), f"{split} holds lines with words that have no phones"

    def test_clean_folders_hold_unseen_roles_of_queen(self, root):
        """At least 500 utterances and 3,500 words in test, a bounded share of each role."""
        rows = self.speakers(root)
        roles = {split: {name for _, _, place, _, name in rows if place == split} for split in FOLDERS}
        assert roles["test-clean"] == {f"queen-{role}" for role in QUEEN_TEST}
        assert roles["dev-clean"] == {f"queen-{role}" for role in QUEEN_DEV}
        training = roles["train-clean-100"] | roles["train-other-500"]
        assert not training & (roles["dev-clean"] | roles["test-clean"])
        texts = self.transcripts(root, "test-clean")
        assert len(texts) >= 500 and sum(len(text.split()) for text in texts.values()) >= 3500
        for split, most in MOST_OF_A_ROLE.items():
            assert max(Counter(name.split("-")[0] for name in self.transcripts(root, split)).values()) == most

    def test_speakers_table_maps_every_reader(self, root):
        rows = self.speakers(root)
        table = {(split, reader) for reader, _, split, _, _ in rows}
        assert table == {(split, folder.name) for split in FOLDERS for folder in (root / split).iterdir()}
        assert len({reader for reader, *_ in rows}) == len({name for *_, name in rows})
        training = sum(float(minutes) for _, _, split, minutes, _ in rows if split == TRAIN)
        assert training > 40

    def test_what_was_left_out_is_counted(self, root):
        with (root / "left-out.tsv").open(encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t"))
        assert {row["reason"]: int(row["clips"]) for row in rows}["carrier sentences of dev and test"] == 600

    def test_dev_and_test_hold_no_carrier_sentence(self, root):
        for split in FOLDERS:
            texts = self.transcripts(root, split).values()
            assert any("PLEASE SELECT THE WORD" in text for text in texts) == (split == TRAIN)

    def test_readme_counts_every_folder(self, root):
        readme = (root.parent / "README.md").read_text(encoding="utf-8")
        for split in FOLDERS:
            texts = self.transcripts(root, split).values()
            words = sum(len(text.split()) for text in texts)
            assert f"| {split} | {len(texts):,} | {words:,} |" in readme

    def test_stock_asr_dataset_reads_all_splits(self, root):
        repairs.apply()
        from s3prl.downstream.asr.dataset import SequenceDataset
        from s3prl.downstream.asr.dictionary import Dictionary

        dictionary = Dictionary.load(str(VOCABULARY / "character.txt"))
        for split in FOLDERS:
            arguments = {"libri_root": str(root), "bucket_file": str(root / "len_for_bucket"), split: [split]}
            dataset = SequenceDataset(split, 1, dictionary, **arguments)
            names = [Path(path).stem for batch in dataset.X for path in batch]
            assert set(names) == set(self.transcripts(root, split))
            wavs, _, _ = dataset[0]
            assert len(wavs[0]) == max(soundfile.info(path).frames for path in (root / split).rglob("*.flac"))
            # Outside the dictionary the stock encoder silently gives the unknown or an out-of-range label.
            assert all(label.max() < len(dictionary) for label in dataset.Y.values())
            assert all(dictionary.unk() not in label for label in dataset.Y.values())
            for path in [path for batch in dataset.X for path in batch if split in TRAINING]:
                label, states = dataset.Y[Path(path).stem], round(soundfile.info(root / path).frames / PAPER_HOP)
                assert len(label) + int((label[1:] == label[:-1]).sum()) <= states, path

    def test_phone_corpus_reads_it(self, root):
        repairs.apply()
        from s3prl.downstream.ctc.text import load_text_encoder

        from mmpt.upstream.s3prl_runner.ctc_corpora.phones import LibriPhoneDataset

        tokenizer = load_text_encoder("word", str(VOCABULARY / "phoneme.txt"))
        lexicon = [str(root / "lexicon/samples-lexicon.txt")]
        for split in ("train-clean-100", "dev-clean", "test-clean"):
            dataset = LibriPhoneDataset([split], tokenizer, 1, path=str(root), lexicon=lexicon)
            assert len(dataset) == len(self.transcripts(root, split))
