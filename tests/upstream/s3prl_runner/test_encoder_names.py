"""`UPSTREAM[:CKPT[:CONFIG]]`: taken apart, looked up, and told apart by content."""

import pytest

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.encoder_identity import identity
from mmpt.upstream.s3prl_runner.encoder_names import EncoderName, read, split


@pytest.fixture
def place(tmp_path):
    for name in ("good/expert.py", "good/net.py", "packed/expert.py", "packed/model.pt", "runs/a/encoder.pt", "x.pt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "wavlm").mkdir()
    (tmp_path / "wavlm/config.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    "text, parts",
    [
        ("fbank", ("fbank", None, None)),
        ("hubert_local:/m/h.pt", ("hubert_local", "/m/h.pt", None)),
        ("a_local:x.pt:y.yaml", ("a_local", "x.pt", "y.yaml")),
        ("baseline_local::mel.yaml", ("baseline_local", None, "mel.yaml")),
        ("wav2vec2_url:https://host/x.pt", ("wav2vec2_url", "https://host/x.pt", None)),
        ("w_url:https://host:8080/x.pt?a=b:c.yaml", ("w_url", "https://host:8080/x.pt?a=b", "c.yaml")),
        ("w_url:https://host/x.pt:http://host:1/c", ("w_url", "https://host/x.pt", "http://host:1/c")),
        ("hf:facebook/wav2vec2-base", ("hf", "facebook/wav2vec2-base", None)),
        ("my/good:weights.pt", ("my/good", "weights.pt", None)),
    ],
)
def test_parts(text, parts):
    assert split(text) == EncoderName(*parts)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "not of the form"),
        (":x.pt", "not of the form"),
        ("https://host/x.pt", "the upstream comes first"),
        ("a:x.pt:y:z", "too many colons"),
        ("a_local:absent.pt", "absent.pt: no such encoder checkpoint .of a_local"),
        ("baseline_local::absent.yaml", "absent.yaml: no such configuration file"),
        ("hf:./absent/model", "no such encoder checkpoint"),
        ("./absent", "no such folder"),
        ("runs/a", "holds no expert.py"),
    ],
)
def test_bad_names_are_one_line(place, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(text, place)
    assert "\n" not in str(caught.value)


def test_paths_become_absolute_and_ids_and_urls_stay(place):
    assert read("a_local:x.pt", place) == EncoderName("a_local", str(place / "x.pt"))
    assert read("hf:wavlm", place) == EncoderName("hf", str(place / "wavlm"))
    assert read("hf:me/wavlm-base", place) == EncoderName("hf", "me/wavlm-base")
    assert read("a_url:https://host/x.pt", place) == EncoderName("a_url", "https://host/x.pt")
    assert read("./good", place) == EncoderName(str(place / "good"))
    assert read("good/:x.pt", place) == EncoderName(str(place / "good"), str(place / "x.pt"))
    assert read("./packed", place).checkpoint == str(place / "packed/model.pt")
    assert read("good", place) == EncoderName("good")  # a bare word is never a folder


@pytest.mark.parametrize(
    "text, label",
    [
        ("fbank", "fbank"),
        ("mmpt_av:runs/a/encoder.pt", "a"),
        ("a_local:x.pt", "x"),
        ("hf:wavlm", "wavlm"),
        ("hf:facebook/wav2vec2-base", "wav2vec2-base"),
        ("a_url:https://host/hubert%20base.pt?v=2", "hubert-20base"),
        ("./packed", "packed"),
        ("./good:x.pt", "good-x"),
    ],
)
def test_short_names(place, text, label):
    assert read(text, place).label == label


def test_identity_is_the_contents(place):
    def found(text):
        return identity(read(text, place))

    assert found("fbank") == "fbank" and found("a_url:https://host/x.pt") == "a_url:https://host/x.pt"
    ours = found("mmpt_av:runs/a/encoder.pt")
    assert len(ours) == 64 and found("a_local:runs/a/encoder.pt") == f"a_local:{ours}"
    before = {text: found(text) for text in ("./packed", "./good", "hf:wavlm", "mmpt_av:x.pt:runs/a/encoder.pt")}
    assert before["./good"].startswith("good/") and str(place) not in str(before)
    (place / "packed/model.pt").write_text("other weights")
    (place / "good/net.py").write_text("other code")
    (place / "wavlm/config.json").write_text("{ }")
    (place / "runs/a/encoder.pt").write_text("other configuration")
    assert all(found(text) != identity for text, identity in before.items())
    again = found("./good")
    (place / "good/__pycache__").mkdir()
    (place / "good/__pycache__/net.pyc").write_text("compiled")
    assert found("./good") == again
