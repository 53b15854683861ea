"""The fast reader of segment lists gives the same as a YAML reader, for every form of list."""

import random

import pytest
import yaml

from mmpt.midtrain import segment_list
from mmpt.midtrain.segment_list import entries_of, parse_segment_list, plain_mapping

ENTRIES = [
    {"duration": 3.5, "offset": 16.085, "rW": 9, "uW": 0, "speaker_id": "spk.1", "wav": "ted_1.wav"},
    {"duration": 12, "offset": 0.0, "speaker_id": "spk.767", "wav": "a-b.c.wav"},
]


def flow(entry):
    return "- {" + ", ".join(f"{key}: {value}" for key, value in entry.items()) + "}\n"


def block(entry):
    return "- " + "\n  ".join(f"{key}: {value}" for key, value in entry.items()) + "\n"


FORMS = {
    "published": flow,
    "block": block,
    "quoted": lambda entry: flow(entry).replace("wav: ", "wav: '").replace("}", "'}"),
    "double quotes": lambda entry: block(entry).replace("wav: ", 'wav: "').rstrip("\n") + '"\n',
    "escapes": lambda entry: flow(entry).replace("wav: ", 'wav: "\\x61').replace("}", '"}'),
    "doubled quotes": lambda entry: flow(entry).replace("wav: ", "wav: 'it''s").replace("}", "'}"),
    "comments": lambda entry: "# one more\n" + flow(entry).rstrip("\n") + "  # a comment\n\n",
    "reversed": lambda entry: flow(dict(reversed(entry.items()))),
    "wide": lambda entry: flow(entry).replace(": ", ":   ").replace(", ", " ,  "),
    "over lines": lambda entry: flow(entry).replace(", ", ",\n   "),
    "nested": lambda entry: flow({**entry, "words": "[1, {a: b}]"}),
    "odd numbers": lambda entry: flow({**entry, "duration": "1_000.5", "offset": "1e+1", "rW": "010"}),
    "no numbers": lambda entry: flow({**entry, "speaker_id": "yes", "uW": "~"}),
    "dates": lambda entry: flow({**entry, "day": "2001-12-14"}),
    "indented list": lambda entry: "  " + block(entry).replace("\n  ", "\n    "),
    "json": lambda entry: "- " + __import__("json").dumps(entry) + "\n",
}


def same(found, expected):
    """Compare entries; numbers may be strings, since they are used through float() and str()."""
    assert [list(entry) for entry in found] == [list(entry) for entry in expected]
    for ours, reference in zip(found, expected):
        assert all(float(ours[key]) == float(reference[key]) for key in ("offset", "duration"))
        assert all(str(ours[key]) == str(reference[key]) for key in ("wav", "speaker_id"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_every_form_reads_as_yaml_does(form, end):
    text = "".join(map(FORMS[form], ENTRIES)).rstrip("\n") + end
    same(parse_segment_list(text), yaml.safe_load(text))


@pytest.mark.slow
def test_forms_may_be_mixed_and_keep_their_order(monkeypatch):
    """The regular expression reads some entries, and other processes read the rest in pieces."""
    monkeypatch.setattr(segment_list, "PIECE", 5)
    draw = random.Random(0)
    forms = [form for name, form in FORMS.items() if name not in ("indented list",)]
    text = "---\n" + "".join(draw.choice(forms)({**draw.choice(ENTRIES), "wav": f"ted_{n}.wav"}) for n in range(60))
    same(parse_segment_list(text), yaml.safe_load(text))
    quick = [plain_mapping(entry) is not None for entry in entries_of(text)]
    assert sum(quick) > 10 and quick.count(False) > 10


def test_the_regular_expression_reads_the_published_form():
    assert all(
        plain_mapping(FORMS[form](entry))
        for form in ("published", "block", "quoted", "double quotes", "reversed")
        for entry in ENTRIES
    )


def test_lists_with_anchors_are_read_as_a_whole():
    text = "- &first {offset: 1.5, duration: 2, wav: a.wav, speaker_id: s.1}\n- {<<: *first, offset: 3}\n"
    found = parse_segment_list(text)
    assert found == yaml.safe_load(text) and found[1]["wav"] == "a.wav"


def test_anything_but_a_list_of_mappings_is_refused():
    for text in ("offset: 1\nwav: a.wav\n", "- 1\n- 2\n", "just words\n"):
        with pytest.raises(ValueError, match="not a list of segments"):
            parse_segment_list(text)
    with pytest.raises(yaml.YAMLError):
        parse_segment_list("- {offset: 1, wav: [}\n")


def test_one_entry_that_is_two_is_left_to_the_yaml_reader():
    """A list in a list: each piece has more entries than the regular expression cut."""
    text = "- {offset: 1, duration: 2, wav: a.wav}\n- [{offset: 3}, {wav: b.wav}]\n"
    with pytest.raises(ValueError, match="not a list of segments"):
        parse_segment_list(text)


@pytest.mark.slow
def test_a_piece_that_another_process_refuses_is_an_error(monkeypatch):
    with pytest.raises(ValueError):  # noqa: PT011 - it has no message: the YAML reader reports the fault
        segment_list.load_elsewhere("- {offset: 1, wav: [}\n")
    assert segment_list.load_elsewhere("- {offset: 1, wav: 2001-12-14}\n") == [{"offset": 1, "wav": "2001-12-14"}]
    monkeypatch.setattr(segment_list, "PIECE", 1)
    with pytest.raises(yaml.YAMLError):
        parse_segment_list("- {offset: 1, wav: a, words: [1]}\n- {offset: 1, wav: [}\n")
