"""midtrain/compare.py: sacrebleu's paired test, what it means with few segments, and errors."""

import itertools
import json
import random

import numpy as np
import pytest
from sacrebleu.significance import PairedTest

from mmpt.midtrain.compare import main
from mmpt.midtrain.comparison import compare, read_translations
from mmpt.midtrain.scoring import metrics_of, score_translations

WORDS = "la casa grande e il cane corre nel parco con un amico che parla sempre di cose belle".split()


def texts(number: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(5, 12))) for _ in range(number)]


def worse(lines: list[str], share: float, seed: int) -> list[str]:
    """Replace a share of the words."""
    draw = random.Random(seed)
    return [" ".join(draw.choice(WORDS) if draw.random() < share else word for word in line.split()) for line in lines]


def write(folder, hypotheses, references, **about):
    folder.mkdir(parents=True)
    for name, lines in (("hypotheses", hypotheses), ("references", references)):
        (folder / f"{name}.txt").write_bytes("".join(line + "\n" for line in lines).encode())
    (folder / "scores.json").write_text(json.dumps({"split": "dev", "language": "it", **about}))
    return folder


@pytest.fixture(autouse=True)
def few_trials(monkeypatch):
    """Do a tenth of sacrebleu's trials."""
    assert PairedTest._DEFAULT_SAMPLES == {"ar": 10_000, "bs": 1_000}  # as the documentation has them
    monkeypatch.setattr(PairedTest, "_DEFAULT_SAMPLES", {"ar": 1_000, "bs": 100})


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two systems, of which B is better, in the working folder."""
    monkeypatch.chdir(tmp_path)
    references = texts(60, 0)
    write(tmp_path / "a", worse(references, 0.5, 1), references)
    write(tmp_path / "b", worse(references, 0.3, 2), references)
    return tmp_path


def test_only_newlines_end_a_line(tmp_path):
    lines = ["la casa\rgrande", "il\u2028cane"]
    found = read_translations(write(tmp_path / "a", lines, lines))
    assert found.hypotheses == found.references == lines


def test_the_table_has_what_sacrebleu_finds(place, capsys):
    assert main(["a", "b"]) == 0
    printed = capsys.readouterr().out
    first, second = (read_translations(place / name) for name in "ab")
    systems = [("A", first.hypotheses), ("B", second.hypotheses)]
    signatures, found = PairedTest(systems, metrics_of("it"), [first.references], test_type="ar")()
    rows = {line.split()[0]: line.split() for line in printed.split("\n") if line.startswith(("BLEU  ", "chrF  "))}
    for (name, key), one in zip((("BLEU", "BLEU"), ("chrF", "chrF2")), compare(first, second)):
        assert one.p == found[key][1].p_value < 0.05 and str(signatures[key]) == one.signature in printed
        assert f"By {name}, B is better (p = {one.p:.2g})." in printed
        assert one.scores == tuple(result.score for result in found[key])
        for (_, hypotheses), interval in zip(systems, one.intervals):
            assert (
                interval == score_translations(hypotheses, first.references, "it", with_intervals=True).intervals[name]
            )
        (low, high), (low_b, high_b) = one.intervals
        expected = f"{name} {one.scores[0]:.1f} {low:.1f} to {high:.1f} {one.scores[1]:.1f} {low_b:.1f} to {high_b:.1f}"
        assert rows[name][:-2] == expected.split() and float(rows[name][-1]) == pytest.approx(one.p, rel=0.1)
        assert float(rows[name][-2]) == pytest.approx(one.scores[1] - one.scores[0], abs=0.051)
    assert "|ar:1000|seed:12345|" in printed


def test_the_order_changes_no_p(place):
    first, second = (read_translations(place / name) for name in "ab")
    ps = [[one.p for one in compare(*pair)] for pair in ((first, second), (second, first))]
    assert ps[0] == ps[1]


def exact_p(metric, first, second) -> float:
    """Return the p of all ways to exchange the two systems' translations."""
    differences = []
    for swaps in itertools.product((False, True), repeat=len(first.references)):
        pairs = [(b, a) if swap else (a, b) for swap, a, b in zip(swaps, first.hypotheses, second.hypotheses)]
        scores = [metric.corpus_score(list(one), [first.references]).score for one in zip(*pairs)]
        differences.append(abs(scores[0] - scores[1]))
    return float(np.mean(np.array(differences) >= differences[0] - 1e-9))


@pytest.mark.parametrize("differing", [0, 1, 2, 6])
def test_few_segments_prove_little(tmp_path, differing):
    """The p of sacrebleu alone is 0.0001 if two systems differ in one segment, or in none."""
    references = texts(20, 3)
    good, bad = worse(references, 0.2, 4), worse(references, 0.9, 5)
    first = read_translations(write(tmp_path / "a", good, references))
    second = read_translations(write(tmp_path / "b", bad[:differing] + good[differing:], references))
    short = [
        read_translations(write(tmp_path / name, one.hypotheses[:8], references[:8]))
        for name, one in (("c", first), ("d", second))
    ]
    for one, (name, metric) in zip(compare(*short), metrics_of("it").items()):
        assert one.p == pytest.approx(exact_p(metric, *short), abs=0.05), name
    assert all(one.p >= min(1, 2 ** (1 - differing)) for one in compare(first, second))


def test_segments_that_no_word_of_matches_do_not_count(tmp_path):
    """Other words, as wrong and as many: for BLEU the systems differ in one segment."""
    references = ["uno due tre quattro cinque"] * 30
    first = write(tmp_path / "a", ["x y z v w"] * 29 + ["uno due tre quattro x"], references)
    second = write(tmp_path / "b", ["k l m n o"] * 30, references)
    bleu, _ = compare(read_translations(first), read_translations(second))
    assert bleu.scores[0] > bleu.scores[1] and bleu.p == 1
    assert bleu.verdict == "BLEU does not tell A and B apart (p = 1)."


def lacks_scores(place):
    (place / "b" / "scores.json").unlink()


def older_version(place):
    (place / "b" / "scores.json").write_text('{"split": "dev"}')


def damaged(place):
    (place / "b" / "scores.json").write_text('{"split": ')


def other_references(place):
    file = place / "b" / "references.txt"
    lines = file.read_text().split("\n")
    file.write_text("\n".join([*lines[:6], "un altro testo", *lines[7:]]))


def fewer(place):
    for name in ("hypotheses", "references"):
        file = place / "b" / f"{name}.txt"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def other_split(place):
    (place / "b" / "scores.json").write_text('{"split": "tst-COMMON", "language": "it"}')


def cut_off(place):
    file = place / "b" / "hypotheses.txt"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def one_segment(place):
    for file in place.glob("*/*.txt"):
        file.write_text(file.read_text().splitlines(keepends=True)[0])


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lacks_scores, "b: holds no scores.json; name a folder of `mmpt translate`, such as RUN/translate/dev"),
        (older_version, "b/scores.json: names no language"),
        (damaged, "b: is damaged"),
        (other_references, "a and b: references.txt differs in line 7; translate the same segments with both"),
        (fewer, "a and b: hold 60 and 59 segments"),
        (other_split, "a and b: dev into it cannot be compared with tst-COMMON into it"),
        (cut_off, "b: 59 hypotheses and 60 references do not fit"),
        (one_segment, "a and b: a test needs at least two segments"),
    ],
)
def test_bad_input_is_one_line(place, capsys, spoil, message):
    spoil(place)
    assert main(["a", "b"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.startswith("error: ")
