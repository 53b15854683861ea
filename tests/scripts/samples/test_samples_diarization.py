"""The two-speaker mixtures: how they are planned, and what the built folders hold."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mmpt.scripts.samples import mixtures
from mmpt.scripts.samples.diarization import overlap_share
from mmpt.scripts.samples.mixtures import Mixture, Utterance, plan_split
from mmpt.scripts.samples.split import QUEEN_DEV, QUEEN_TEST
from mmpt.upstream.s3prl_runner import repairs

RATE = 16000
LEAST = {"train": 60, "dev": 40, "test": 100}


def voices(**seconds: float) -> dict[str, list[Utterance]]:
    """Voices with so many seconds of speech, in utterances of two seconds."""
    return {
        name: [Utterance(f"{name}{n}", 160, 2 * RATE, 0.1) for n in range(int(length / 2))]
        for name, length in seconds.items()
    }


def heard(planned: list[Mixture]) -> Counter[str]:
    return Counter(turn.utterance.source for mixture in planned for turn in mixture.turns)


def shares(planned: list[Mixture]) -> dict[str, float]:
    counts = Counter(name for mixture in planned for name in {turn.speaker for turn in mixture.turns})
    return {name: count / len(planned) for name, count in counts.items()}


def test_a_test_utterance_is_heard_once_and_voices_alike():
    planned = plan_split("test", voices(a=2000, b=400, c=400, d=400, e=400, f=400, g=400, tiny=8))
    assert len(planned) == mixtures.MIXTURES["test"]
    assert max(heard(planned).values()) == 1
    assert set(shares(planned)) == set("abcdefg") and max(shares(planned).values()) < 0.36


def test_the_largest_voice_is_in_a_third_of_the_training_mixtures_at_most():
    planned = plan_split("train", voices(a=5000, b=100, c=100, d=100, e=100, f=100))
    assert len(planned) > 60
    assert max(heard(planned).values()) == 2
    assert shares(planned)["a"] <= mixtures.LARGEST_SHARE + 2 / len(planned)
    assert all(max(heard([mixture]).values()) == 1 for mixture in planned)


def test_a_voice_does_not_overlap_itself_and_two_are_in_each_mixture():
    for mixture in plan_split("dev", voices(a=200, b=200, c=200, d=200, e=200, f=200)):
        assert len({turn.speaker for turn in mixture.turns}) == 2
        for speaker in {turn.speaker for turn in mixture.turns}:
            own = [turn for turn in mixture.turns if turn.speaker == speaker]
            assert all(one.end <= other.start for one, other in zip(own, own[1:]))
        assert all(turn.start % 16 == 0 and turn.utterance.samples % 16 == 0 for turn in mixture.turns)
        assert mixture.samples >= max(turn.end for turn in mixture.turns)


def test_without_two_voices_there_is_no_mixture():
    assert plan_split("test", voices(a=500, b=4)) == []


def test_what_lies_above_4_khz_is_cut_off_and_nothing_is_late():
    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * hertz * time).astype(np.float32) for hertz in (3500, 4100))
    kept = mixtures.low_pass(low + high)[2000:-2000]
    assert np.abs(kept - low[2000:-2000]).max() < 0.01


def split_of(folder: Path) -> tuple[dict[str, str], dict[str, str], dict[str, list]]:
    """Durations, paths and (voice, start, end) of each mixture."""
    durations = dict(line.split() for line in (folder / "reco2dur").read_text().splitlines())
    paths = dict(line.split(maxsplit=1) for line in (folder / "wav.scp").read_text().splitlines())
    spans: dict[str, list] = {}
    for line in (folder / "rttm").read_text().splitlines():
        _, name, _, start, length, _, _, voice, _, _ = line.split()
        spans.setdefault(name, []).append((voice, float(start), float(start) + float(length)))
    return durations, paths, spans


@pytest.mark.parametrize("frame_shift", [160, 640])
def test_stock_dataset_reads_all_splits(built_samples, frame_shift):
    repairs.apply()
    from s3prl.downstream.diarization.dataset import DiarizationDataset

    for split, least in LEAST.items():
        folder = str(built_samples / "diarization" / split)
        dataset = DiarizationDataset(split, folder, frame_shift=frame_shift, num_speakers=2)
        assert len(dataset.data.wavs) >= least
        for index in range(0, len(dataset), 15):
            wav, labels = dataset[index][:2]
            if split == "test":
                wav, labels = np.concatenate(wav), np.concatenate(labels)
            assert labels.shape[1] == 2
            assert abs(len(wav) / frame_shift - len(labels)) <= 1


def test_tables_agree_with_the_sound(built_samples):
    for split in LEAST:
        durations, paths, spans = split_of(built_samples / "diarization" / split)
        assert set(durations) == set(paths) == set(spans)
        for name, turns in list(spans.items())[::5]:
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
            power = np.abs(np.fft.rfft(wav)) ** 2
            assert power[len(power) * 41 // 80 :].sum() < 1e-4 * power.sum()  # above 4.1 kHz


def test_roles_are_unseen_and_none_has_most_of_a_split(built_samples):
    roles = {}
    for split in LEAST:
        _, _, spans = split_of(built_samples / "diarization" / split)
        pairs = [tuple(sorted({voice for voice, *_ in turns})) for turns in spans.values()]
        counts = Counter(voice for pair in pairs for voice in pair)
        assert max(counts.values()) <= 0.4 * len(pairs) and len(set(pairs)) >= 15
        roles[split] = set(counts)
    assert roles["test"] <= {f"queen-{role}" for role in QUEEN_TEST} and len(roles["test"]) >= 10
    assert roles["dev"] <= {f"queen-{role}" for role in QUEEN_DEV}
    assert not roles["train"] & (roles["dev"] | roles["test"]) and len(roles["train"]) >= 8


def test_some_speech_overlaps(built_samples):
    for split in LEAST:
        share = overlap_share(built_samples / "diarization" / split)
        assert 0.05 < share < 0.4
        assert f"{share:.0%}" in (built_samples / "README.md").read_text()
