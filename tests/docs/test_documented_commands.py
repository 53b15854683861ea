"""A strict build of the site fails on a command or an option that does not exist, and on nothing else."""

import logging
from importlib import import_module
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def checks(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "docs" / "hooks"))
    return import_module("checks")


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("mmpt pretrain --objective clr --nonsense", ["no option --nonsense"]),
        ("mmpt pretrain --objective=clr  # --not-an-option", []),
        ("mmpt superb run --ckpt e.pt --nonsense=3", ["no option --nonsense=3"]),
        ("mmpt nonsense", ["no such command"]),
        ("mmpt downstream -d asr -l -1", []),  # a number is a value
        ("mmpt with python their_script.py --their-option", []),  # another program's
        ("mmpt with --nonsense python their_script.py", ["no option --nonsense"]),
        ("mmpt COMMAND --anything", []),
    ],
)
def test_unknown_commands_and_options_are_found(checks, call, found):
    assert list(checks.faults(call)) == found


def test_a_fault_is_a_warning_which_a_strict_build_counts(checks, caplog):
    with caplog.at_level(logging.WARNING, "mkdocs"):
        checks.check("```bash\nmmpt pretrain --nonsense\n```\nand `docs/nothing.md`", "page.md", REPOSITORY)
    assert [record.getMessage() for record in caplog.records] == [
        "page.md: mmpt pretrain --nonsense: no option --nonsense",
        "page.md names docs/nothing.md, which is not in the repository",
    ]
