"""study.json: what is written is read back, and what does not fit is one clear line."""

import json

import pytest

from mmpt.study.record import Bleu, MadeEncoder, Study, TranslationTest, read_study, write_study
from mmpt.upstream.errors import InputError

MADE = (
    MadeEncoder("untrained", "untrained"),
    MadeEncoder("clr", "pretrained", "clr", "all", minutes=3.5),
    MadeEncoder("none_it", "midtrained", language="it"),
    MadeEncoder("clr_it", "midtrained", "clr", "all", "it", "clr", bleu=Bleu(3.1, 2.5, 3.8), minutes=8.0),
)
TESTS = (TranslationTest("none_it", "clr_it", 0.01),)


def test_a_study_is_read_as_it_was_written(tmp_path):
    study = Study("evening", MADE, ("One seed.",), (("machine", "two cores"),), TESTS)
    write_study(tmp_path, study)
    assert read_study(tmp_path) == study


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("plan"), "missing 1 required positional argument: 'plan'"),
        (lambda c: c.update(cuts=[]), "unknown setting cuts; did you mean cut?"),
        (lambda c: c["encoders"][3].update(start="mae"), "clr_it starts from mae, which is not among the encoders"),
        (lambda c: c["encoders"][3].update(name="clr"), "two encoders are called clr"),
        (lambda c: c["encoders"][1].update(kind="pre"), "the kind of clr must be"),
        (lambda c: c["encoders"][3].update(bleu=3.1), "encoders.bleu"),
        (lambda c: c["encoders"][3]["bleu"].update(low="much"), "encoders.bleu.low must be of kind float"),
        (lambda c: c["translation_tests"][0].update(encoder="mae_it"), "a translation test names mae_it"),
    ],
)
def test_what_does_not_fit_is_named_with_the_file(tmp_path, change, message):
    write_study(tmp_path, Study("evening", MADE, translation_tests=TESTS))
    content = json.loads((tmp_path / "study.json").read_text())
    change(content)
    (tmp_path / "study.json").write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        read_study(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'study.json'}: is not what `mmpt study` writes (")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_missing_or_damaged_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"study.json: No such file or directory; `mmpt study` writes it"):
        read_study(tmp_path)
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(InputError, match=r"study.json: is damaged; --fresh starts"):
        read_study(tmp_path)
