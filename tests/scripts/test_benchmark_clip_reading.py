"""The benchmarks of reading run, on media that are too small to mean anything."""

import re

import pytest

from mmpt.scripts.benchmark import clip_reading, picture_codecs, picture_forms, reading_sides, synthetic_media


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for module, values in (
        (synthetic_media, {"WIDTH": 64, "HEIGHT": 48}),
        (picture_codecs, {"CLIP_S": 4}),
        (reading_sides, {"CLIPS": 2, "CLIP_S": 2, "CHUNK_S": 4, "CHUNKS": 3, "STARTS_S": (0.7, 5.3, 9.9)}),
    ):
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)


def test_clip_reading_compares_all_pairs(tmp_path, capsys):
    for more in ([], ["--profile"]):  # the second call finds its media
        assert clip_reading.main(["--rounds", "1", "--media", str(tmp_path), *more]) == 0
    told = capsys.readouterr().out
    assert told.count("where the time of 10 clips goes") == 2 and "tottime" in told
    for side in ("shards", "mp4", "seeking", "from the start", "means of tubelets", "JPEG files", "224", "256"):
        assert len(re.findall(f"^  {side}, (elapsed|processor) time +min +[0-9.]+ +median", told, re.MULTILINE)) == 4
    assert told.count("ratio, elapsed time") == 10


def test_picture_forms_lists_every_form(capsys):
    assert picture_forms.main(["--rounds", "1"]) == 0
    told = capsys.readouterr().out
    for form in picture_codecs.FORMS:
        assert re.search(f"^{re.escape(form.name)} +[0-9.]+ +[0-9.]+ ", told, re.MULTILINE)


@pytest.mark.parametrize("command", [clip_reading, picture_forms])
def test_bad_input_is_one_line(command, capsys):
    assert command.main(["--rounds", "0"]) == 2
    assert capsys.readouterr().err == "error: --rounds must be at least 1, not 0\n"
