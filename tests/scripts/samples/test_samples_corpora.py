"""The built folders through S3PRL's own dataset classes, and against what the published corpora look like."""

import csv
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from mmpt.scripts.samples.split import QUEEN_DEV, QUEEN_TEST
from mmpt.upstream.repository import REPOSITORY
from mmpt.upstream.s3prl_runner import repairs

VOCABULARY = REPOSITORY / "downstream_configs" / "vocabulary"
LANGUAGES = {"it": 242, "es": 204, "fr": 236, "ru": 241, "de": 242, "nl": 242}
CLASSES = "yes no up down left right on off stop go _unknown_ _silence_".split()
RATE = 16000


@pytest.fixture(scope="module")
def stock():
    """S3PRL's downstream package, importable on today's PyTorch."""
    repairs.apply()
    import s3prl.downstream

    return s3prl.downstream


class TestSpeechCommands:
    @pytest.fixture
    def roots(self, built_samples):
        return {
            "speech_commands_root": str(built_samples / "speech_commands_v0.01"),
            "speech_commands_test_root": str(built_samples / "speech_commands_test_set_v0.01"),
        }

    @pytest.mark.slow
    def test_counts_are_balanced(self, stock, roots):
        from s3prl.downstream.speech_commands.dataset import SpeechCommandsDataset, SpeechCommandsTestingDataset
        from s3prl.downstream.speech_commands.expert import split_dataset

        train, dev = split_dataset(roots["speech_commands_root"])
        counts = Counter(name for name, _ in SpeechCommandsDataset(train, **roots).data)
        assert counts == dict.fromkeys(CLASSES, 4)
        counts = Counter(name for name, _ in SpeechCommandsDataset(dev, **roots).data)
        assert counts == dict.fromkeys(CLASSES, 2) | {"_silence_": 4}
        counts = Counter(name for name, _ in SpeechCommandsTestingDataset(**roots).data)
        assert counts == dict.fromkeys(CLASSES, 2)

    @pytest.mark.slow
    def test_items_are_one_second(self, stock, roots):
        from s3prl.downstream.speech_commands.dataset import SpeechCommandsDataset, SpeechCommandsTestingDataset
        from s3prl.downstream.speech_commands.expert import split_dataset

        train, _ = split_dataset(roots["speech_commands_root"])
        datasets = SpeechCommandsDataset(train, **roots), SpeechCommandsTestingDataset(**roots)
        for dataset in datasets:
            for index in range(len(dataset)):
                wav, label, _ = dataset[index]
                assert len(wav) == RATE and np.abs(wav).max() > 0.001
                assert CLASSES[label] == dataset.data[index][0]

    def test_words_are_whole(self, built_samples):
        """The word's time lies inside the cut second, so that no command is clipped."""
        from mmpt.scripts.samples import speech_commands, tables

        clips = [item for item in tables.read_recordings(REPOSITORY / "samples") if item.kind == "mrt"]

        class Lengths:
            def load(self, source):
                return np.zeros(int(seconds[source] * RATE))

        with (REPOSITORY / "samples/mrt/clips.tsv").open() as lines:
            rows = csv.DictReader(lines, delimiter="\t")
            seconds = {f"mrt/audio/{row['clip']}.opus": float(row["seconds"]) for row in rows}
        times = {item.source: (item.word_onset_s, item.word_onset_s + item.word_duration_s) for item in clips}
        for cut, _ in speech_commands.plan_words(clips, Lengths()):
            onset, end = times[cut.source]
            assert cut.start / RATE <= onset and end <= cut.start / RATE + 1, cut


class TestFluentCommands:
    def test_stock_dataset_reads_all_splits(self, stock, built_samples):
        import pandas
        from s3prl.downstream.fluent_commands.dataset import FluentCommandsDataset

        root = built_samples / "fluent_speech_commands_dataset"
        frames = {name: pandas.read_csv(root / f"data/{name}_data.csv") for name in ("train", "valid", "test")}
        assert {name: len(frame) for name, frame in frames.items()} == {"train": 600, "valid": 300, "test": 300}
        slots = ["action", "object", "location"]
        # As S3PRL builds it: labels come from training, a value that is unseen there is a KeyError.
        labels = {slot: {name: i for i, name in enumerate(dict.fromkeys(frames["train"][slot]))} for slot in slots}
        for frame in frames.values():
            assert not frame[slots].isna().any().any()
            dataset = FluentCommandsDataset(frame, str(root), labels)
            for index in range(0, len(dataset), 37):
                wav, label, stem = dataset[index]
                assert wav.ndim == 1 and len(wav) > RATE
                assert stem == Path(frame.path[index]).stem and label.shape == (3,)
            for slot in slots:
                assert set(frame[slot]) <= set(labels[slot])

    def test_slots_are_onset_vowel_coda(self, built_samples):
        with (built_samples / "fluent_speech_commands_dataset/data/train_data.csv").open() as lines:
            rows = list(csv.DictReader(lines))
        assert list(rows[0]) == ["", "path", "speakerId", "transcription", "action", "object", "location"]
        by_word = {row["transcription"].split()[-1]: (row["action"], row["object"], row["location"]) for row in rows}
        assert by_word["went"] == ("W", "EH", "N-T")
        assert by_word["eel"] == ("none", "IY", "L")
        assert by_word["pay"] == ("P", "EY", "none")


class TestLibriSpeech:
    COUNTS = {
        "train-clean-100": 1623,
        "train-other-500": 75,
        "dev-clean": 258,
        "dev-other": 112,
        "test-clean": 745,
        "test-other": 361,
    }

    def transcripts(self, root: Path, split: str) -> dict[str, str]:
        texts = {}
        for path in (root / split).rglob("*.trans.txt"):
            text = path.read_text(encoding="utf-8")
            assert text.endswith("\n")
            texts |= dict(line.split(" ", 1) for line in text.splitlines())
        return texts

    def test_stock_asr_dataset_reads_all_splits(self, stock, built_samples):
        from s3prl.downstream.asr.dataset import SequenceDataset
        from s3prl.downstream.asr.dictionary import Dictionary

        root = built_samples / "LibriSpeech"
        dictionary = Dictionary.load(str(VOCABULARY / "character.txt"))
        for split, count in self.COUNTS.items():
            arguments = {"libri_root": str(root), "bucket_file": str(root / "len_for_bucket"), split: [split]}
            dataset = SequenceDataset(split, 1, dictionary, **arguments)
            names = [Path(path).stem for batch in dataset.X for path in batch]
            assert len(set(names)) == count
            assert set(names) <= set(self.transcripts(root, split))
            wavs, labels, _ = dataset[0]
            assert len(wavs[0]) == max(soundfile.info(path).frames for path in (root / split).rglob("*.flac"))
            # Outside the dictionary the stock encoder silently gives the unknown or an out-of-range label.
            assert all(label.max() < len(dictionary) for label in dataset.Y.values())
            assert all(dictionary.unk() not in label for label in dataset.Y.values())

    def test_texts_are_spelled_and_pronounced(self, built_samples):
        root = built_samples / "LibriSpeech"
        lexicon = dict(line.split("\t") for line in (root / "lexicon/samples-lexicon.txt").read_text().splitlines())
        phones = set((VOCABULARY / "phoneme.txt").read_text().split())
        assert {phone for entry in lexicon.values() for phone in entry.split()} <= phones
        words: dict[str, set] = {}
        for split, count in self.COUNTS.items():
            texts = self.transcripts(root, split)
            assert set(texts) == {path.stem for path in (root / split).rglob("*.flac")}
            assert len(texts) == count
            assert all(re.fullmatch(r"[A-Z']+( [A-Z']+)*", text) for text in texts.values())
            words[split] = {word for text in texts.values() for word in text.split()}
        clean = words["train-clean-100"] | words["dev-clean"] | words["test-clean"]
        assert clean <= set(lexicon) <= set().union(*words.values())
        for split in ("train-other-500", "dev-other", "test-other"):
            assert words[split] - set(lexicon), f"{split} holds lines with words that have no phones"

    def test_clean_folders_hold_unseen_roles_of_queen(self, built_samples):
        """At least 500 utterances and 3,500 words in test, a bounded share of each role."""
        root = built_samples / "LibriSpeech"
        rows = [line.split("|") for line in (root / "SPEAKERS.TXT").read_text().splitlines() if line[0] != ";"]
        names = {(row[2].strip(), row[0].strip()): row[4].strip() for row in rows}
        roles = {split: {name for (folder, _), name in names.items() if folder == split} for split in self.COUNTS}
        assert roles["test-clean"] == {f"queen-{role}" for role in QUEEN_TEST}
        assert roles["dev-clean"] == {f"queen-{role}" for role in QUEEN_DEV}
        training = roles["train-clean-100"] | roles["train-other-500"]
        assert not training & (roles["dev-clean"] | roles["test-clean"])
        texts = self.transcripts(root, "test-clean")
        assert len(texts) >= 500 and sum(len(text.split()) for text in texts.values()) >= 3500
        sizes = Counter(name.split("-")[0] for name in texts)
        assert max(sizes.values()) == 60

    def test_what_was_left_out_is_counted(self, built_samples):
        rows = (built_samples / "LibriSpeech/left-out.tsv").read_text().splitlines()
        assert rows[0] == "clips\treason" and sum(int(row.split("\t")[0]) for row in rows[1:]) > 1000

    def test_dev_and_test_hold_no_carrier_sentence(self, built_samples):
        for split in self.COUNTS:
            texts = self.transcripts(built_samples / "LibriSpeech", split).values()
            assert any("PLEASE SELECT THE WORD" in text for text in texts) == (split == "train-clean-100")

    def test_phone_corpus_reads_it(self, stock, built_samples):
        from s3prl.downstream.ctc.text import load_text_encoder

        from mmpt.upstream.s3prl_runner.phone_corpus.dataset import LibriPhoneDataset

        root = built_samples / "LibriSpeech"
        tokenizer = load_text_encoder("word", str(VOCABULARY / "phoneme.txt"))
        lexicon = [str(root / "lexicon/samples-lexicon.txt")]
        dataset = LibriPhoneDataset(["dev-clean"], tokenizer, 1, path=str(root), lexicon=lexicon)
        assert len(dataset) == self.COUNTS["dev-clean"]

    def test_speakers_table_maps_every_reader(self, built_samples):
        root = built_samples / "LibriSpeech"
        rows = [line.split("|") for line in (root / "SPEAKERS.TXT").read_text().splitlines() if line[0] != ";"]
        table = {(row[2].strip(), row[0].strip()) for row in rows}
        assert table == {(split, folder.name) for split in self.COUNTS for folder in (root / split).iterdir()}


class TestDiarization:
    COUNTS = {"train": 60, "dev": 12, "test": 12}

    @pytest.mark.parametrize("frame_shift", [160, 640])
    def test_stock_dataset_reads_all_splits(self, stock, built_samples, frame_shift):
        from s3prl.downstream.diarization.dataset import DiarizationDataset

        for split, count in self.COUNTS.items():
            folder = str(built_samples / "diarization" / split)
            dataset = DiarizationDataset(split, folder, frame_shift=frame_shift, num_speakers=2)
            assert len(dataset.data.wavs) == count
            for index in range(0, len(dataset), 5):
                wav, labels = dataset[index][:2]
                if split == "test":
                    wav, labels = np.concatenate(wav), np.concatenate(labels)
                assert labels.shape[1] == 2
                assert abs(len(wav) / frame_shift - len(labels)) <= 1

    def test_tables_agree_with_the_sound(self, built_samples):
        for split in self.COUNTS:
            folder = built_samples / "diarization" / split
            durations = dict(line.split() for line in (folder / "reco2dur").read_text().splitlines())
            paths = dict(line.split(maxsplit=1) for line in (folder / "wav.scp").read_text().splitlines())
            spans = {}
            for line in (folder / "rttm").read_text().splitlines():
                _, name, _, start, length, _, _, voice, _, _ = line.split()
                spans.setdefault(name, []).append((voice, float(start), float(start) + float(length)))
            assert set(durations) == set(paths) == set(spans)
            for name, turns in spans.items():
                wav, rate = soundfile.read(paths[name])
                assert rate == RATE and abs(len(wav) / rate - float(durations[name])) < 1e-9
                assert 10 <= len(wav) / rate <= 20
                assert len({voice for voice, *_ in turns}) == 2
                talk = np.zeros(len(wav), dtype=bool)
                for voice in {voice for voice, *_ in turns}:
                    own = sorted((start, end) for other, start, end in turns if other == voice)
                    assert all(end <= start + 1e-6 for (_, end), (start, _) in zip(own, own[1:], strict=False))
                    for start, end in own:
                        talk[round(start * rate) : round(end * rate)] = True
                assert not wav[~talk].any()  # outside of the segments nobody speaks

    def test_some_speech_overlaps(self, built_samples):
        from mmpt.scripts.samples.diarization import overlap_share

        for split in self.COUNTS:
            share = overlap_share(built_samples / "diarization" / split)
            assert 0.05 < share < 0.4
            assert f"{share:.0%}" in (built_samples / "README.md").read_text()


class TestMustC:
    def test_segments_and_texts_fit(self, built_samples):
        for language, count in LANGUAGES.items():
            total = 0
            for split in ("train", "dev", "tst-COMMON"):
                folder = built_samples / f"must_c/en-{language}/data/{split}"
                segments = yaml.safe_load((folder / f"txt/{split}.yaml").read_text())
                texts = [(folder / f"txt/{split}.{name}").read_text().splitlines() for name in ("en", language)]
                assert len(segments) == len(texts[0]) == len(texts[1])
                assert all(line.strip() for lines in texts for line in lines)
                total += len(segments)
                ends = {}
                for segment, english in zip(segments, texts[0], strict=True):
                    assert list(segment) == ["duration", "offset", "rW", "uW", "speaker_id", "wav"]
                    assert segment["rW"] == len(english.split())
                    assert segment["offset"] >= ends.get(segment["wav"], 0)
                    ends[segment["wav"]] = segment["offset"] + segment["duration"]
                assert len(segments) > 2 * len(ends)  # several segments to a wav
                for wav, end in ends.items():
                    assert end < soundfile.info(folder / "wav" / wav).duration
            assert total == count

    def test_lines_are_spelled_as_published(self, built_samples):
        pattern = (
            r"- \{duration: \d+\.\d{6}, offset: \d+\.\d{6}, rW: \d+, uW: \d+, speaker_id: spk\.\d+, wav: ted_\d+\.wav\}"
        )
        for line in (built_samples / "must_c/en-es/data/dev/txt/dev.yaml").read_text().splitlines():
            assert re.fullmatch(pattern, line)

    def test_languages_share_their_sound(self, built_samples):
        paths = [built_samples / f"must_c/en-{language}/data/dev/wav/ted_25.wav" for language in LANGUAGES]
        assert len({path.read_bytes() for path in paths}) == 1
        assert all(os.stat(path).st_nlink in (1, len(LANGUAGES)) for path in paths)
