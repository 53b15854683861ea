"""Help pages of the command `mmpt`, made from the parsers at each build: one page a command, with its subcommands.

The list of commands is the table of scripts/cli.py. Each parser is taken from the call `mmpt … --help`, so that a page
shows what a user's terminal does.
"""

import argparse
import os
import re
from html import escape
from itertools import groupby
from textwrap import dedent
from unittest.mock import patch

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from mmpt.scripts import cli

FOLDER = "commands"
COLUMNS = "88"  # that usage lines are wrapped to, whatever the terminal
INDEX = """\
# Commands

These pages are made from the commands' own `--help`.

| command | does |
|---|---|
"""


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
    index = INDEX
    with patch.dict(os.environ, COLUMNS=COLUMNS):
        for name, calls in commands().items():
            several = calls != [name]
            text = f"# mmpt {name}\n\n{sentence(cli.GROUPS[name])}\n\n" if several else ""
            text += "\n".join(page_part(parser_of(call), "##" if several else "#") for call in calls)
            files.append(File.generated(config, f"{FOLDER}/{name}.md", content=text))
            for call in calls:
                anchor = f"#mmpt-{call.replace(' ', '-')}" if several else ""
                index += f"| [`mmpt {call}`]({name}.md{anchor}) | {cli.COMMANDS[call].summary} |\n"
    files.append(File.generated(config, f"{FOLDER}/index.md", content=index))
    return files


def commands() -> dict[str, list[str]]:
    """Return the names under `mmpt`, each with the calls that its page shows."""
    found: dict[str, list[str]] = {}
    for call in cli.COMMANDS:
        found.setdefault(call.split()[0], []).append(call)
    return found


def parser_of(call: str) -> argparse.ArgumentParser:
    """Return the parser that answers `mmpt CALL --help`.

    Raises:
        RuntimeError: the command ended without showing help.
    """

    def show(parser: argparse.ArgumentParser, file: object = None) -> None:
        raise HelpWanted(parser)

    with patch.object(argparse.ArgumentParser, "print_help", show):
        try:
            cli.main([*call.split(), "--help"])
        except HelpWanted as wanted:
            return wanted.parser
    raise RuntimeError(f"mmpt {call} --help shows no help")


def page_part(parser: argparse.ArgumentParser, heading: str) -> str:
    """Return the Markdown of one parser: description, usage, options and the text that follows them."""
    usage = re.sub(r"^(usage: | {7})", "", parser.format_usage().rstrip(), flags=re.MULTILINE)
    before, after = (paragraphs(formatted(parser, text)) for text in (parser.description, parser.epilog))
    return "\n\n".join([f"{heading} {parser.prog}", before, fence(usage), options(parser), after, ""])


def options(parser: argparse.ArgumentParser) -> str:
    """Return a list of every argument but --help, by group."""
    formatter, parts = parser._get_formatter(), []
    for group in parser._action_groups:
        items = []
        for action in group._group_actions:
            if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction):
                names = escape(formatter._format_action_invocation(action), quote=False)
                text = inline(formatter._expand_help(action)) if action.help else ""
                items.append(f"<dt><code>{names}</code></dt>\n<dd>{text}</dd>")
        if items:
            title = "arguments" if group.title == "positional arguments" else group.title or "options"
            parts.append(
                f"<p><strong>{escape(sentence(title)[:-1])}</strong></p>\n<dl>\n" + "\n".join(items) + "\n</dl>"
            )
    return "\n\n".join(parts)


def formatted(parser: argparse.ArgumentParser, text: str | None) -> str:
    """Return a text as the parser's formatter shows it."""
    formatter = parser._get_formatter()
    formatter.add_text(text)
    return formatter.format_help().strip("\n")


def paragraphs(text: str) -> str:
    """Return plain text as paragraphs, and its indented lines as they are."""
    parts = []
    for block in re.split(r"\n\s*\n", text):
        for indented, lines in groupby(block.splitlines(), key=lambda line: line.startswith(" ")):
            part = "\n".join(lines)
            parts.append(fence(dedent(part)) if indented else f"<p>{inline(part)}</p>")
    return "\n\n".join(parts)


def sentence(text: str) -> str:
    """Return the text with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def inline(text: str) -> str:
    """Return the HTML of plain text, with code for what is in backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(" ".join(text.split()), quote=False))


def fence(text: str) -> str:
    """Return a block that is shown as it is."""
    return f"```text\n{text}\n```"
