"""The type of a file where pylibmagic has no wheel, and where there is no libmagic at all."""

import importlib
import sys

import pytest

from mmpt.superb.submission import libmagic
from mmpt.upstream.errors import InputError


def test_a_systems_libmagic_serves_without_pylibmagic(monkeypatch):
    monkeypatch.setitem(sys.modules, "pylibmagic", None)  # importing it fails
    importlib.reload(libmagic)
    assert libmagic.type_and_encoding(b"up-a.wav up\n") == ("text/plain", "us-ascii")


def test_a_missing_libmagic_is_named(monkeypatch):
    monkeypatch.setattr(libmagic, "magic", None)
    with pytest.raises(InputError, match="libmagic, .*, is not installed: apt install libmagic1"):
        libmagic.type_and_encoding(b"up-a.wav up\n")
