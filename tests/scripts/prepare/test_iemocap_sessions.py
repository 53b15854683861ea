"""IEMOCAP's lists for S3PRL's emotion recognition."""

import json

import pytest

from mmpt.scripts.prepare.iemocap_sessions import main, write_sessions
from mmpt.upstream.errors import InputError

from helpers.other_corpora import iemocap


@pytest.fixture
def root(tmp_path):
    iemocap(tmp_path)
    return tmp_path / "IEMOCAP"


def test_each_session_is_tested_by_the_other_four(root, capsys):
    main(["--root", str(root)])
    assert "Session5: 5 utterances" in capsys.readouterr().out
    for session in range(1, 6):
        lists = {}
        for part in ("train", "test"):
            content = json.loads((root / f"meta_data/Session{session}/{part}_meta_data.json").read_text())
            assert content["labels"] == {"neu": 0, "hap": 1, "ang": 2, "sad": 3}
            lists[part] = content["meta_data"]
            assert all((root / item["path"]).is_file() for item in lists[part])
        assert {item["path"][:8] for item in lists["test"]} == {f"Session{session}"}
        assert len(lists["train"]) == 20 and f"Session{session}" not in {item["path"][:8] for item in lists["train"]}
        assert [item["label"] for item in lists["test"]] == ["neu", "hap", "ang", "sad", "hap"]  # excited is happy
        assert lists["test"][0]["speaker"] == f"Ses0{session}F"


def test_a_missing_session_is_an_error(root):
    (root / "Session3" / "dialog").rename(root / "elsewhere")
    with pytest.raises(InputError, match="Session3: expected sentences/wav"):
        write_sessions(root, root / "meta_data")
    assert not (root / "meta_data").exists()
