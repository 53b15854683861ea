"""midtrain/translate.py: files, scores and printed lines, for a split and for sound files, and errors."""

import json
import shutil

import pytest
import soundfile
import torch
import yaml
from sacrebleu.metrics import BLEU, CHRF

from mmpt.midtrain import compare, run, translate, translating
from mmpt.midtrain.corpus import open_corpus
from mmpt.midtrain.segments import read_wav
from mmpt.midtrain.settings import SearchSettings
from mmpt.midtrain.trained import load_translation
from mmpt.training.checkpoints import read_checkpoint
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder

from helpers import mock_must_c

pytestmark = pytest.mark.slow

CONFIG = {
    "device": "cpu",
    "log_every": 5,
    "validate_every": 30,
    "checkpoint_every": 5,
    "keep_checkpoints": 3,
    "export": "average",
    "optim": {"steps": 30, "warmup_steps": 2, "lr": 3e-3, "weight_decay": 0.0},
    "data": {"workers": 0, "batch_frames": 500, "vocabulary_size": 40},
    "ctc": {"weight": 0.5, "vocabulary_size": 20},
    "decoder": {"n_layers": 1, "n_heads": 2, "ffn_dim": 16},
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a corpus, a stage-1 encoder and a trained run."""
    folder = tmp_path_factory.mktemp("translate")
    mock_must_c.corpus(folder / "must_c")
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    torch.manual_seed(0)
    save_encoder(
        Encoder(EncoderConfig(conv_channels=16, d_model=16, n_layers=2, n_heads=2, ffn_dim=32, depthwise_kernel=3)),
        folder / "encoder.pt",
        {"stages": []},
    )
    files = {"--data": "must_c", "--config": "config.yaml", "--init": "encoder.pt", "--out": "run"}
    options = [text for option, name in files.items() for text in (option, str(folder / name))]
    assert run.main(["--target-lang", "it", *options]) == 0
    return folder


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A copy of the run, in the working folder."""
    shutil.copytree(trained / "run", tmp_path / "run", symlinks=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(file):
    return file.read_text(encoding="utf-8").split("\n")[:-1]


def test_a_split_is_translated_and_scored(trained, place, capsys):
    assert translate.main(["run", "--split", "tst-COMMON"]) == 0
    output, out = capsys.readouterr().out, place / "run" / "translate" / "tst-COMMON"
    segments = open_corpus(trained / "must_c", "it", 3000).read("tst-COMMON").segments
    hypotheses, references = lines(out / "hypotheses.txt"), lines(out / "references.txt")
    assert references == [s.target for s in segments] and len(hypotheses) == len(references)
    model = load_translation(place / "run", None, CPU)
    alone = [translating.translate_wavs(model, [read_wav(s)], SearchSettings())[0] for s in segments]
    assert hypotheses == alone and any(hypotheses)
    about = json.loads((out / "scores.json").read_text())
    for name, metric in (("BLEU", BLEU()), ("chrF", CHRF())):
        score, (low, high) = about[name.lower()], about[f"{name.lower()}_interval"]
        assert score == pytest.approx(metric.corpus_score(hypotheses, [references]).score)
        assert 0 <= low <= high <= 100 and f"{name} {score:.1f}, 95 % interval {low:.1f} to {high:.1f}" in output
        assert about["signatures"][name] in output and "bs:1000|seed:12345" in about["signatures"][name]
    assert about["beam"] == 5 and about["averaged_steps"] == [20, 25, 30]
    assert about["provenance"]["stages"][-1]["language"] == "en-it"
    table = (out / "examples.md").read_text()
    assert all(f"| {s.source} | {s.target} |" in table for s in segments) and "tok:13a" in table


def test_two_ways_to_translate_are_compared(place, capsys):
    for out, beam in (("greedy", "1"), ("beam", "5")):
        assert translate.main(["run", "--split", "dev", "--beam", beam, "--out", out]) == 0
    assert compare.main(["greedy", "beam"]) == 0
    printed = capsys.readouterr().out
    assert "dev into it, 4 segments\nA: greedy\nB: beam\n" in printed and "does not tell A and B apart" in printed


def test_the_wanted_weights_are_loaded(place):
    states = {n: read_checkpoint(place / f"run/checkpoints/step_000000{n}.pt")["model"] for n in (20, 25, 30)}
    name = "decoder.layers.0.qkv.weight"
    for which, expected in (
        ("average", sum(s[name] for s in states.values()) / 3),
        ("last", states[30][name]),
        (None, sum(s[name] for s in states.values()) / 3),
    ):
        assert torch.allclose(load_translation(place / "run", which, CPU).model.state_dict()[name], expected, atol=1e-7)
    best = read_checkpoint(place / "run/checkpoints/best.pt")
    found = load_translation(place / "run", "best", CPU)
    assert found.steps == [best["step"]] and not found.model.training
    assert torch.equal(found.model.state_dict()[name], best["model"][name])


def test_batch_size_and_prepared_folder_change_no_translation(trained, place):
    assert translate.main(["run", "--split", "train", "--out", "one", "--batch-frames", "1", "--beam", "3"]) == 0
    mock_must_c.prepared(trained / "must_c", place / "prepared", "--shards")
    options = ["--batch-frames", "100000", "--beam", "3", "--data", "prepared"]
    assert translate.main(["run", "--split", "train", "--out", "all", *options]) == 0
    one, together = (lines(place / out / "hypotheses.txt") for out in ("one", "all"))
    assert one == together and len(set(one)) > 1


def test_sound_files_are_translated_as_segments_are(trained, place, capsys):
    segment = open_corpus(trained / "must_c", "it", 3000).read("dev").segments[1]
    soundfile.write("a.wav", read_wav(segment).numpy(), 16_000, subtype="FLOAT")
    soundfile.write("long.flac", torch.randn(16_000 * 31).mul(0.1).numpy(), 16_000)
    capsys.readouterr()
    assert translate.main(["run", "a.wav", "long.flac", "--beam", "2"]) == 0
    output, warning = capsys.readouterr()
    model = load_translation(place / "run", None, CPU)
    expected = translating.translate_wavs(model, [read_wav(segment)], SearchSettings(2))[0]
    assert output.split("\n")[0] == f"a.wav\t{expected}" and output.split("\n")[1].startswith("long.flac\t")
    assert warning.startswith("long.flac: 31 s are longer than the model's training segments")


def test_results_are_not_overwritten(place, capsys):
    command = ["run", "--split", "dev", "--beam", "1"]
    assert translate.main(command) == 0 and translate.main(command) == 2
    assert "run/translate/dev/hypotheses.txt: is there already; --fresh overwrites it" in capsys.readouterr().err
    assert translate.main([*command, "--fresh"]) == 0


def stage_1(place):
    (place / "run/vocabulary.model").unlink()


def other_vocabulary(place):
    from mmpt.midtrain.vocabulary import save_vocabulary, train_vocabulary

    save_vocabulary(train_vocabulary(["un altro testo"] * 4, 20), place / "run/vocabulary.model")


def damaged(place):
    file = place / "run/checkpoints/step_00000025.pt"
    file.write_bytes(file.read_bytes()[:-100])


def untrained(place):
    for file in (place / "run/checkpoints").iterdir():
        file.unlink()


@pytest.mark.parametrize(
    "spoil, arguments, message",
    [
        (None, ("run",), "what to translate? Give --split NAME, or sound files"),
        (None, ("run", "a.wav", "--split", "dev"), "what to translate?"),
        (None, ("run", "a.wav", "--out", "x"), "--out and --data belong to --split"),
        (None, ("run", "--split", "tst-HE"), "no split 'tst-HE' here (there is train, dev, tst-COMMON)"),
        (None, ("run", "nowhere.wav"), "nowhere.wav: cannot be translated (audio: nowhere.wav: No such file"),
        (None, ("run", "run/config.yaml"), "config.yaml: cannot be translated (audio: config.yaml: not a media file"),
        (None, ("nowhere", "--split", "dev"), "nowhere: is not a run folder"),
        (None, ("run", "--split", "dev", "--beam", "0"), "must be at least 1"),
        (None, ("run", "--split", "dev", "--batch-frames", "0"), "--batch-frames must be at least 1"),
        (None, ("run", "--split", "dev", "--data", "nowhere"), "nowhere: no such folder"),
        (None, ("run", "--split", "dev", "--device", "abc"), "device=abc cannot be used"),
        (stage_1, ("run", "--split", "dev"), "run: is not a run of stage 2"),
        (other_vocabulary, ("run", "--split", "dev"), "is run/vocabulary.model the one that it was trained with?"),
        (damaged, ("run", "--split", "dev"), "step_00000025.pt: is truncated, damaged"),
        (untrained, ("run", "--split", "dev"), "run: no checkpoint for `last` here"),
    ],
)
def test_bad_input_is_one_line(place, capsys, spoil, arguments, message):
    if spoil:
        spoil(place)
    assert translate.main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.startswith("error: ")
