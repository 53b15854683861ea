"""Warn about what documents name and the repository lacks: paths, commands and options. A strict build then fails."""

import argparse
import logging
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from command_help import parser_of  # MkDocs puts a hook's folder on the path
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from mmpt.scripts import cli

log = logging.getLogger("mkdocs.hooks.checks")
FOLDERS = "upstream|training|pretrain|midtrain|superb|study|downstream_configs|scripts|docs|tests|samples|constraints"
# In code: `upstream/mmpt_av/`, python scripts/superb/run.py. Not a part of a longer path.
PATH = re.compile(rf"(?<![\w./-])(?:(?:{FOLDERS})/[\w./-]*[\w/]|run_downstream\.py)(?![\w*{{…]|/[*{{])")
NOT_OURS = re.compile(r"/(?!README)[A-Z]{3,}|\.(mp4|wav|pt)$")  # downstream_configs/TASK.yaml; a corpus's own folders
CODE = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)\)")
COMMAND = re.compile(r"^mmpt .*", re.MULTILINE)
NUMBER = re.compile(r"-\d")  # a value, such as that of `-l -1`
HISTORY = ("changelog.md",)  # may name what is gone


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Check one page."""
    if page.file.src_uri not in HISTORY:
        check(markdown, page.file.src_uri, Path(config.config_file_path).parent)


def on_post_build(config: MkDocsConfig) -> None:
    """Check the README, which is no page, and its links."""
    root = Path(config.config_file_path).parent
    text = (root / "README.md").read_text(encoding="utf-8")
    check(text, "README.md", root)
    for target in LINK.findall(text):
        if not target.startswith("http") and not (root / target).exists():
            log.warning("README.md links to %s, which is not in the repository", target)


def check(text: str, name: str, root: Path) -> None:
    """Look for each path and command in the text's code."""
    for block, span in CODE.findall(text):
        code = re.sub(r"\s*\\\n\s*", " ", block or span)
        for path in PATH.findall(code):
            if not NOT_OURS.search(path) and not (root / path).exists():
                log.warning("%s names %s, which is not in the repository", name, path)
        for line in COMMAND.findall(code):
            for fault in faults(line):
                log.warning("%s: %s: %s", name, line, fault)


def faults(line: str) -> Iterator[str]:
    """Yield what is wrong with a call of `mmpt`, up to its comment or another program's name (`mmpt with python ...`).

    A word in capitals stands for any command.
    """
    words = re.split(r" {2,}|#", line)[0].split()[1:]
    call = " ".join(words[:2]) if words[0] in cli.GROUPS else words[0]
    if call in cli.GROUPS or call.split()[-1].isupper():
        return
    if call not in cli.COMMANDS:
        yield "no such command"
        return
    known = options(call)
    for word in words[len(call.split()) :]:
        if not word.startswith("-") and calls_a_program(call):
            return
        if word.startswith("-") and not NUMBER.match(word) and word.partition("=")[0] not in known:
            yield f"no option {word}"


@cache
def options(call: str) -> set[str]:
    """Return the options of a command."""
    return set(parser_of(call)._option_string_actions)


@cache
def calls_a_program(call: str) -> bool:
    """Return whether the command hands the words after its options to a program."""
    return any(action.nargs == argparse.REMAINDER for action in parser_of(call)._actions)
