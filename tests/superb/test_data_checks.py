"""Each trap of the corpora, set and found; and corpora without any."""

import csv
import hashlib
import shutil

import pytest
import soundfile
import yaml

from mmpt.scripts.superb.check_data import main
from mmpt.superb.data_checks import CHECKS, asr, ic
from mmpt.superb.data_checks.findings import ERROR
from mmpt.superb.data_checks.ks import ks_split
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.repository import REPOSITORY

from helpers.expert_folders import expert_folder
from helpers.stock_mocks import noise, superb

WAV = "fluent_speech_commands_dataset/wavs/speakers/s1/train0.wav"
FLAC = "LibriSpeech/dev-clean/1/7/1-7-0000.flac"
TRANS = "LibriSpeech/dev-clean/1/7/1-7.trans.txt"


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return superb(tmp_path_factory.mktemp("clean") / "noise")


@pytest.fixture
def root(clean, tmp_path):
    """A copy to spoil, whose wav.scp leads into it."""
    copy = tmp_path / "corpora"
    shutil.copytree(clean, copy)
    for file in copy.glob("diarization/*/wav.scp"):
        file.write_text(file.read_text().replace(str(clean), str(copy)))
    return copy


def listed(root, capsys, tasks="ks,ic,pr,sd,asr", *more) -> tuple[int, list[str]]:
    status = main(["--data-root", str(root), "--tasks", tasks, *more])
    printed = capsys.readouterr()
    return status, (printed.err + printed.out).splitlines()


def errors(lines):
    return [line for line in lines if line.startswith("error: ")]


def test_sound_corpora_have_no_error(clean, capsys):
    status, lines = listed(clean, capsys)
    assert (status, errors(lines)) == (0, [])
    assert any("built samples" in line for line in lines)  # they carry the samples' lexicon


def test_counts_are_compared_with_the_published_ones(root, capsys):
    (root / "LibriSpeech/lexicon/samples-lexicon.txt").rename(
        root / "LibriSpeech/lexicon/librispeech-lexicon-200k-g2p.txt"
    )
    shutil.copy(
        root / "LibriSpeech/lexicon/librispeech-lexicon-200k-g2p.txt",
        root / "LibriSpeech/lexicon/librispeech-lexicon-allothers-g2p.txt",
    )
    status, lines = listed(root, capsys)
    assert any(line.startswith("warning: pr: test-clean: 6 items, the published corpus has 2,620") for line in lines)
    assert (
        any(
            line.startswith("error: ks: 23 training items are fewer than a batch of 32: S3PRL would wait for ever")
            for line in lines
        )
        and status == 1
    )
    assert not any("lexicon" in line for line in lines)


def edit(name, old, new):
    def spoil(root):
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new))

    return spoil


def resound(name, rate=16000, channels=1):
    def spoil(root):
        wav, _ = soundfile.read(root / name)
        soundfile.write(root / name, wav if channels == 1 else wav[:, None].repeat(channels, 1), rate)

    return spoil


def remove(name):
    return lambda root: shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


@pytest.mark.parametrize(
    "task, spoil, message",
    [
        ("ks", remove("speech_commands_v0.01/yes"), "no recordings of the command 'yes'"),
        ("ks", remove("speech_commands_v0.01/_background_noise_/hiss.wav"), "no noises"),
        (
            "ks",
            lambda root: noise(root / "speech_commands_v0.01/_background_noise_/hiss.wav", 0.9),
            "1 noises under 1 s",
        ),
        (
            "ks",
            lambda root: noise(root / "speech_commands_test_set_v0.01/bed/m4_nohash_0.wav"),
            "bed: is none of the twelve classes",
        ),
        (
            "ks",
            lambda root: [file.unlink() for file in root.glob("speech_commands_v0.01/*/m3_*")],
            "no speaker falls into dev",
        ),
        (
            "ks",
            lambda root: (root / "speech_commands_v0.01/yes/f1_nohash_0.wav").write_text("no sound"),
            "cannot be read",
        ),
        ("ic", remove("fluent_speech_commands_dataset/data/valid_data.csv"), "valid_data.csv: No such file"),
        ("ic", remove(WAV), "1 recordings that are missing or cannot be read"),
        ("ic", resound(WAV, channels=2), "1 recordings that are not mono"),
        ("ic", resound(WAV, rate=8000), "1 recordings that are not 16 kHz"),
        (
            "ic",
            edit("fluent_speech_commands_dataset/data/test_data.csv", ",heat,", ",radio,"),
            "values of 'object' in test_data.csv that training does not have",
        ),
        (
            "ic",
            edit("fluent_speech_commands_dataset/data/train_data.csv", "location", "place"),
            "train_data.csv: no column location",
        ),
        ("pr", edit(TRANS, "HELLO", "HALLO"), "words of dev-clean in no lexicon"),
        ("pr", edit("LibriSpeech/lexicon/samples-lexicon.txt", "ER1", "ER"), "phones of"),
        ("pr", edit(TRANS, "1-7-0003", "1-7-9999"), "1 recordings of dev-clean without a text"),
        ("pr", remove(TRANS), "trans.txt: cannot be read as a transcript"),
        ("pr", resound(FLAC, rate=8000), "not 16 kHz"),
        ("pr", remove("LibriSpeech/lexicon"), "lexicon"),
        ("asr", edit(TRANS, "HELLO", "HÉLLO"), "characters of dev-clean outside the dictionary"),
        ("asr", edit(TRANS, "HELLO", "HELLO2"), "'2' ("),
        (
            "asr",
            remove("LibriSpeech/len_for_bucket/dev-clean.csv"),
            "write it with python scripts/prepare/librispeech_lengths.py",
        ),
        ("asr", remove(FLAC), "files in"),
        ("asr", lambda root: noise(root / "LibriSpeech/dev-clean/1/7/1-7-0009.flac"), "without a text"),
        (
            "asr",
            edit("LibriSpeech/len_for_bucket/train-clean-100.csv", "0,train-clean-100/0/7/0-7-0000.flac,16000,0\n", ""),
            "does not list",
        ),
        ("asr", remove("LibriSpeech/test-clean"), "test-clean: no such folder"),
        ("sd", remove("diarization/train/reco2dur"), "there is no reco2dur"),
        ("sd", edit("diarization/dev/utt2spk", "dev0_b b", "dev0_b c\nextra_a a"), None),
        (
            "sd",
            lambda root: [
                edit("diarization/dev/segments", "dev0_a dev0 0.2 2.4", "dev0_a dev0 0.2 2.4\nthird dev0 0.1 0.2")(
                    root
                ),
                edit("diarization/dev/utt2spk", "dev0_a a", "dev0_a a\nthird c")(root),
            ],
            "recordings of dev with more than 2 speakers: dev0",
        ),
        ("sd", edit("diarization/dev/segments", "dev0 ", "dev9 "), "recordings of dev in segments, but not in wav.scp"),
        ("sd", edit("diarization/test/reco2dur", "test0 4.0\n", ""), "in wav.scp or reco2dur, but not in both"),
        ("sd", edit("diarization/test/utt2spk", "test0_a a\n", ""), "segments of test that are not in utt2spk"),
        ("sd", resound("diarization/train/wav/train0.wav", channels=2), "not mono"),
        ("sd", resound("diarization/train/wav/train0.wav", rate=8000), "not 16 kHz"),
        ("sd", edit("diarization/train/segments", "0.2 2.4", "0.2"), "segments, line"),
    ],
)
def test_traps_are_found(root, capsys, task, spoil, message):
    spoil(root)
    status, lines = listed(root, capsys, task)
    if message is None:  # as good as before
        assert (status, errors(lines)) == (0, [])
    else:
        assert status == 1 and any(line.startswith(f"error: {task}: ") and message in line for line in lines), lines


def test_a_training_batch_of_one_utterance_is_found(root, capsys):
    """Nine in batches of eight; and one alone."""
    chapter = root / "LibriSpeech/train-clean-100/0/7"
    for number in range(6, 9):
        noise(chapter / f"0-7-000{number}.flac")
    lines = "".join(f"0-7-000{number} A\n" for number in range(6, 9))
    (chapter / "0-7.trans.txt").write_text((chapter / "0-7.trans.txt").read_text() + lines)
    rows = "".join(f"{number},train-clean-100/0/7/0-7-000{number}.flac,8000,0\n" for number in range(6, 9))
    table = root / "LibriSpeech/len_for_bucket/train-clean-100.csv"
    table.write_text(table.read_text() + rows)
    status, found = listed(root, capsys, "asr")
    assert status == 0 and any("9 training utterances leave one over in batches of 8" in line for line in found)
    for file in list(chapter.glob("*.flac"))[1:]:
        file.unlink()
    status, found = listed(root, capsys, "asr")
    assert status == 1 and any("one training utterance: S3PRL leaves out a batch of one" in line for line in found)


def test_an_utterance_that_would_not_be_scored_is_found(root):
    """Six utterances of test-clean: five and one alone, which S3PRL drops. Alone is right if all are."""
    config = yaml.safe_load((REPOSITORY / "downstream_configs/quick/asr.yaml").read_text())
    data = config["downstream_expert"]["datarc"]
    data["libri_root"], data["bucket_file"] = str(root / "LibriSpeech"), str(root / "LibriSpeech/len_for_bucket")
    data["dict_path"] = str(REPOSITORY / "downstream_configs/vocabulary/character.txt")
    for batch_size, wrong in ((1, False), (4, False), (5, True)):
        data["eval_batch_size"] = batch_size
        texts = [finding.text for finding in asr.check(config, None) if finding.level == ERROR]
        assert any("6 utterances of test-clean leave one over in batches of 5" in text for text in texts) == wrong


@pytest.mark.parametrize(
    "task, spoil, message",
    [
        ("sd", edit("diarization/train/reco2dur", "train0 4.0", "train0 3.0"), "whose length is not that of reco2dur"),
        ("sd", edit("diarization/train/segments", "1.9 3.7", "1.9 9.7"), "after their recording"),
        ("sd", remove("diarization/test/rttm"), "no rttm"),
        ("ks", resound("speech_commands_v0.01/yes/f1_nohash_0.wav", channels=2), "not 16 kHz and mono"),
        ("ks", remove("speech_commands_test_set_v0.01/yes"), "no test recordings of the class yes"),
    ],
)
def test_warnings_and_notes_fail_nothing(root, capsys, task, spoil, message):
    spoil(root)
    status, lines = listed(root, capsys, task)
    assert status == 0 and any(message in line for line in lines)


def test_utterances_too_fast_for_ctc_are_counted(root, capsys, tmp_path):
    """The 12 characters and one repeat of "HELLO WORLD|", and S3PRL's end, need 14 states of 640 samples: 0.54 s."""
    save_encoder(Encoder(EncoderConfig.preset("tiny")), tmp_path / "encoder.pt", {"stages": []})
    noise(root / FLAC, 0.53)
    _, lines = listed(root, capsys, "asr", "--ckpt", str(tmp_path / "encoder.pt"))
    assert any(
        "1 utterances (16.7 %) of dev-clean have more labels than there are states of 640 samples" in line
        for line in lines
    )
    noise(root / FLAC, 0.55)
    _, lines = listed(root, capsys, "asr", "--ckpt", str(tmp_path / "encoder.pt"))
    assert not any("more labels" in line for line in lines)


@pytest.mark.slow
def test_ctc_room_is_that_of_someones_encoder(root, capsys, tmp_path):
    """The same 14 states, of 320 samples each, take 0.27 s."""
    theirs = expert_folder(tmp_path / "theirs")
    for seconds, found in ((0.26, True), (0.53, False)):
        noise(root / FLAC, seconds)
        _, lines = listed(root, capsys, "asr", "--expert", str(theirs))
        assert any("more labels than there are states of 320 samples" in line for line in lines) == found


def test_words_in_no_lexicon_are_noted_with_a_lexicon_of_ones_own(root, capsys, tmp_path):
    (tmp_path / "cmudict.dict").write_text("hello HH AH0 L OW1\nworld W ER1 L D\n")
    status, lines = listed(root, capsys, "pr", "--lexicon", str(tmp_path / "cmudict.dict"))
    assert status == 0 and any("1 words of dev-clean in no lexicon, which count as SPN: A" in line for line in lines)


def test_missing_corpora_are_all_named(tmp_path, capsys):
    status, lines = listed(tmp_path, capsys)
    assert status == 1 and len(errors(lines)) == 5


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--tasks", "ks,xx"], "no task is called 'xx'"),
        (["--data-root", "absent"], "absent"),
        (["--ckpt", "absent"], "no such encoder"),
    ],
)
def test_bad_input(capsys, arguments, message):
    assert main(arguments) in (1, 2)
    assert message in capsys.readouterr().err


def test_the_split_is_s3prls(tmp_path):
    from mmpt.upstream.s3prl_runner import repairs

    repairs.apply()
    from s3prl.downstream.speech_commands.expert import split_dataset

    names = [f"{hashlib.sha1(str(i).encode()).hexdigest()[:8]}_nohash_{i % 3}.wav" for i in range(300)]
    (tmp_path / "yes").mkdir()
    for name in names:
        (tmp_path / "yes" / name).touch()
    train, dev = ({file.name for _, file in part} for part in split_dataset(tmp_path))
    assert {name for name in names if ks_split(name) == "train"} == train and {
        name for name in names if ks_split(name) == "dev"
    } == dev
    assert len(dev) > 10 and len(train) + len(dev) < 300


def test_ic_tables_are_read_as_pandas_does(root):
    """Quoted transcriptions with commas, as in the published tables."""
    table = root / "fluent_speech_commands_dataset/data/train_data.csv"
    table.write_text(table.read_text().replace(",text,", ',"text, and more",'))
    assert len(list(csv.DictReader(table.open()))[0]) == 7
    assert ic.check(
        {"downstream_expert": {"datarc": {"file_path": str(root / "fluent_speech_commands_dataset")}}}, None
    )
    assert set(CHECKS) == {"ks", "ic", "pr", "sd", "asr"}
