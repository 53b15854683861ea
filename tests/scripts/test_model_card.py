"""scripts/model_card.py: the card of an encoder states its stages, data with licences and scores, and invents none."""

import os
from pathlib import Path

import pytest

from mmpt.scripts import model_card_texts
from mmpt.scripts.model_card import main, stage_table
from mmpt.scripts.samples import av_clips
from mmpt.upstream.mmpt_av import load_encoder, save_encoder
from mmpt.upstream.mmpt_av.checkpoint import file_hash

from helpers import fake_superb_run

PRE = {"stage": "pretrain", "objective": "clr", "data": "sounds+speech-games", "clips": 5414, "steps": 20000, "seed": 3}
MID = {"stage": "midtrain", "objective": "translation", "data": "samples must_c en-it", "language": "en-it"}
MID |= {"segments": 2966, "steps": 600, "seed": 0, "revision": "f" * 40}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Make a run that scored three encoders."""
    root = tmp_path_factory.mktemp("card")
    other, demo = (fake_superb_run.encoder(root / name, PRE, MID) for name in ("other", "demo"))
    encoder = load_encoder(demo)
    save_encoder(encoder, demo, encoder.provenance, half=True)
    lrs3 = fake_superb_run.encoder(root / "lrs3", {**PRE, "data": "lrs3"}, seed=1)
    fake_superb_run.results(root, {"other": other, "demo": demo, "lrs3": lrs3}, tasks=("ks", "pr"))
    return root


def card(place: Path, encoder: Path, *more: str) -> int:
    return main([str(encoder), "--results", str(place / "out"), "--out", str(place / "cards/README.md"), *more])


def test_a_card_states_stages_data_and_scores(place):
    encoder = place / "demo" / "encoder.pt"
    assert card(place, encoder, "--fresh") == 0
    text = (place / "cards/README.md").read_text()
    for words in (
        "of 0.99 M parameters: 4 blocks of width 96",
        "every 40 ms",
        f"in float16, and the SHA-256 `{file_hash(encoder)}`",
        "called `demo` here",
        "KS accuracy",
        "PR PER",
        "SMOKE RUN",
        "nothing above 5.5 kHz",
        f"mmpt extract recordings/ --ckpt {os.path.relpath(encoder)}",
    ):
        assert words in text, words
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert ["pretrain", "clr", "sounds, speech-games", "5,414", "20,000", "3", "unknown"] in rows
    assert ["midtrain", "translation", "samples must_c en-it", "2,966", "600", "0", "f" * 12] in rows
    assert {"acted", "noises", "telephone"} == {row[0].split()[0] for row in rows if "LICENSE.txt" in row[-1]}
    links = [part.split(")")[0] for part in text.split("](")[1:]]
    assert links and all((place / "cards" / link).is_file() for link in links)
    assert "{" not in text


def test_a_card_shows_the_encoders_that_are_asked_for(place, capsys):
    encoder = place / "demo" / "encoder.pt"
    for beside, there in (("other", True), ("lrs3", False)):
        assert card(place, encoder, "--fresh", "--beside", beside) == 0
        text = (place / "cards/README.md").read_text()
        rows = [line for line in text.splitlines() if line.startswith("| test, %")]
        assert rows and all(("other" in row, "lrs3" in row) == (there, not there) for row in rows)
        assert "demo" in rows[0]
    assert card(place, encoder, "--fresh", "--beside", "", "--results", str(place / "out/results.json")) == 0
    text = (place / "cards/README.md").read_text()
    assert text.count("Made by:") == 2 and "other" not in text.split("## Scores")[1].split("## Use")[0]
    assert card(place, encoder, "--fresh", "--beside", "other,stranger") == 2
    assert "no run has stranger; there are other, demo, lrs3" in capsys.readouterr().err


def test_other_data_is_named_without_a_licence_of_ours(place):
    assert card(place, place / "lrs3" / "encoder.pt", "--fresh") == 0
    text = (place / "cards/README.md").read_text()
    assert "| lrs3 " in text and "its publisher's" in text and "LICENSE" not in text and "5.5 kHz" not in text


def test_steps_that_an_imported_checkpoint_has_lost_are_a_dash():
    assert "| - " in stage_table([{**MID, "steps": None}]) and "2,966" in stage_table([{**MID, "steps": None}])


def test_what_the_samples_hold_has_a_source():
    assert set(av_clips.SETS) | {"samples must_c", "samples librispeech transcripts"} == set(model_card_texts.SOURCES)


def test_bad_input_is_one_line(place, capsys):
    stranger = fake_superb_run.encoder(place / "stranger", PRE, seed=2)
    (place / "cards").mkdir(exist_ok=True)
    (place / "cards/README.md").touch()
    for arguments, message in (([], "--fresh replaces it"), (["--fresh"], f"has no scores of {stranger}")):
        assert card(place, stranger, *arguments) == 2
        error = capsys.readouterr().err.strip()
        assert message in error and "\n" not in error
