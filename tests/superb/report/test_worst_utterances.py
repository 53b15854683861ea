"""The worst utterances of ASR: the last encoder's, with the other encoders' words beside them."""

from mmpt.superb.report.collect import Collection
from mmpt.superb.report.rows import EncoderRow
from mmpt.superb.report.worst_utterances import MOST, character_edits, compared_words, worst_utterances

REFERENCES = {f"1-1-{number:04d}": "A" * (number + 1) for number in range(MOST + 3)}


def collection(tmp_path, **hypotheses: dict) -> Collection:
    """A collection of encoders, each with one ASR job that wrote these texts."""
    jobs = []
    for name, texts in hypotheses.items():
        folder = tmp_path / name
        folder.mkdir()
        references = {key: REFERENCES.get(key, "B") for key in texts}
        for kind, lines in (("ref", references), ("hyp", texts)):
            content = "".join(f"{key} {text}\n" for key, text in lines.items())
            (folder / f"test-clean-noLM-{kind}.ark").write_text(content)
        jobs.append({"task": "asr", "chosen": True, "encoder": name, "experiment": folder})
    return Collection([EncoderRow(name, "other") for name in hypotheses], jobs)


def test_those_with_the_most_character_errors_of_the_last_encoder(tmp_path):
    right = dict(REFERENCES)
    found = worst_utterances(collection(tmp_path, first=right, last=dict.fromkeys(REFERENCES, "A")))
    assert [one.name for one in found] == list(REFERENCES)[: -MOST - 1 : -1]
    assert found[0].reference == "A" * (MOST + 3) and found[0].edits == {"first": 0, "last": MOST + 2}
    assert found[0].hypotheses == {"first": [("A" * (MOST + 3), "right")], "last": [("A", "wrong")]}


def test_utterances_without_errors_are_left_out(tmp_path):
    texts = {**REFERENCES, "1-1-0003": "AXAA"}
    assert [one.name for one in worst_utterances(collection(tmp_path, only=texts))] == ["1-1-0003"]


def test_encoders_of_other_utterances_and_without_predictions_are_left_out(tmp_path):
    empty = dict.fromkeys(REFERENCES, "")
    found = collection(tmp_path, gone=empty, other={"9-9-0000": "B"}, last=empty)
    (tmp_path / "gone/test-clean-noLM-hyp.ark").unlink()
    assert [list(one.hypotheses) for one in worst_utterances(found)] == [["last"]] * MOST
    (tmp_path / "last/test-clean-noLM-ref.ark").unlink()
    (tmp_path / "other/test-clean-noLM-hyp.ark").unlink()
    assert worst_utterances(found) == []


def test_words_are_right_wrong_or_missing():
    assert compared_words("THE OLD MAN SLEEPS HERE", "THE OLT SLEEPS HERE NOW") == [
        ("THE", "right"),
        ("OLT", "wrong"),
        ("MAN", "missing"),
        ("SLEEPS", "right"),
        ("HERE", "right"),
        ("NOW", "wrong"),
    ]
    assert compared_words("A B", "") == [] and compared_words("", "A") == [("A", "wrong")]


def test_edits_of_an_empty_reference_are_insertions():
    assert (character_edits("", "AB"), character_edits("AB", ""), character_edits("AB", "AC")) == (2, 2, 1)
