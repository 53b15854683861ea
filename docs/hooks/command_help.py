"""Help pages of the command `mmpt`, made from the parsers themselves at each build: one page a command, its subcommands on it.

The list of commands is the table of scripts/cli.py. Each parser is taken from the call `mmpt … --help`, so that a page shows
exactly what a user's terminal does.
"""

import argparse
import contextlib
import os
import re
from collections.abc import Iterator
from html import escape

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from mmpt.scripts import cli

FOLDER = "commands"
GROUPS = {"prepare": "Prepare a corpus", "superb": "Stage 3 and the leaderboard"}
USAGE_COLUMNS = "92"


class HelpWanted(BaseException):
    """Carries the parser that was asked for its help out of the command. No command catches it."""

    def __init__(self, parser: argparse.ArgumentParser):
        self.parser = parser


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation, in place of the entry `Commands: commands/`."""
    pages = [f"{FOLDER}/index.md", *({f"mmpt {name}": f"{FOLDER}/{name}.md"} for name in commands())]
    config.nav = [{"Commands": pages} if entry == {"Commands": f"{FOLDER}/"} else entry for entry in config.nav]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    pages = {name: list(command_page(name, subcommands)) for name, subcommands in commands().items()}
    files.append(File.generated(config, f"{FOLDER}/index.md", content=index_page(pages)))
    for name, parts in pages.items():
        text = f"# mmpt {name}\n\n" if len(parts) > 1 else ""
        text += "\n".join(render(parser, "##" if len(parts) > 1 else "#") for parser in parts)
        files.append(File.generated(config, f"{FOLDER}/{name}.md", content=text))
    return files


def commands() -> dict[str, list[tuple[str, ...]]]:
    """Names under `mmpt`, each with the calls that its page shows."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for words in cli.COMMANDS:
        words = tuple(words.split()) if isinstance(words, str) else words
        found.setdefault(words[0], []).append(words)
    return found


def command_page(name: str, calls: list[tuple[str, ...]]) -> Iterator[argparse.ArgumentParser]:
    """The parsers of a page."""
    for words in calls:
        yield parser_of(words)


def parser_of(words: tuple[str, ...]) -> argparse.ArgumentParser:
    """The parser that answers `mmpt WORDS --help`.

    Raises:
        RuntimeError: the command ended without showing help.
    """

    def show(parser: argparse.ArgumentParser, file: object = None) -> None:
        raise HelpWanted(parser)

    with replaced(argparse.ArgumentParser, "print_help", show):
        try:
            cli.main([*words, "--help"])
        except HelpWanted as wanted:
            return wanted.parser
    raise RuntimeError(f"mmpt {' '.join(words)} --help shows no help")


@contextlib.contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Give an attribute another value for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def index_page(pages: dict[str, list[argparse.ArgumentParser]]) -> str:
    """The list of all commands, with a sentence each."""
    lines = ["# Commands", "", "These pages are made from the commands' own `--help`.", "", "| command | does |", "|---|---|"]
    for name, parsers in pages.items():
        for parser in parsers:
            anchor = f"#{slug(parser.prog)}" if len(parsers) > 1 else ""
            lines.append(f"| [`{parser.prog}`]({name}.md{anchor}) | {cell(summary(parser))} |")
    return "\n".join([*lines, ""])


def summary(parser: argparse.ArgumentParser) -> str:
    """The first sentence of the description."""
    first = (parser.description or "").strip().split("\n\n")[0]
    return re.split(r"(?<=[.!?]) ", " ".join(first.split()))[0]


def slug(title: str) -> str:
    """The anchor of a heading, as MkDocs makes it."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())


def cell(text: str) -> str:
    """Plain text in a table: no Markdown in it."""
    return escape(text, quote=False).replace("|", "&#124;").replace("*", "&#42;").replace("_", "&#95;")


def render(parser: argparse.ArgumentParser, heading: str) -> str:
    """Markdown of one parser: description, usage, options and the text that follows them."""
    with replaced_columns():
        usage = parser.format_usage().removeprefix("usage: ").rstrip()
        after = formatted(parser, parser.epilog)
    usage = re.sub(r"^ {7}", "", usage, flags=re.MULTILINE)  # the indentation under the word that is gone
    parts = [f"{heading} {parser.prog}", paragraphs(formatted(parser, parser.description)), fence(usage), options(parser)]
    return "\n\n".join([*parts, fence(after) if after else "", ""])


def replaced_columns() -> contextlib.AbstractContextManager:
    """The width that usage is wrapped to, whatever the terminal."""
    stack = contextlib.ExitStack()
    stack.callback(os.environ.__setitem__, "COLUMNS", os.environ.get("COLUMNS", "80"))
    os.environ["COLUMNS"] = USAGE_COLUMNS
    return stack


def formatted(parser: argparse.ArgumentParser, text: str | None) -> str:
    """A text as the parser's formatter shows it."""
    formatter = parser._get_formatter()
    formatter.add_text(text)
    return formatter.format_help().strip("\n")


def paragraphs(text: str) -> str:
    """Plain text as paragraphs; an indented block stays as it is."""
    blocks = re.split(r"\n\s*\n", text)
    return "\n\n".join(fence(b) if re.search(r"^\s", b, re.MULTILINE) else f"<p>{inline(b)}</p>" for b in blocks)


def inline(text: str) -> str:
    """HTML of plain text, with `code` in backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(" ".join(text.split()), quote=False))


def fence(text: str) -> str:
    """A block that is shown as it is."""
    return f"```text\n{text}\n```"


def options(parser: argparse.ArgumentParser) -> str:
    """Every argument but --help, by group."""
    formatter, parts = parser._get_formatter(), []
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if a.help != argparse.SUPPRESS and not isinstance(a, argparse._HelpAction)]
        if not actions:
            continue
        items = []
        for action in actions:
            text = formatter._expand_help(action) if action.help else ""
            names = formatter._format_action_invocation(action)
            items.append(f"<dt><code>{escape(names, quote=False)}</code></dt>\n<dd>{inline(text)}</dd>")
        title = "Arguments" if group.title == "positional arguments" else (group.title or "options").capitalize()
        parts.append(f"<p><strong>{escape(title)}</strong></p>\n<dl>\n" + "\n".join(items) + "\n</dl>")
    return "\n\n".join(parts)
