"""Warn about repository paths that a page names and that are not there: a strict build then fails, as for a dead link."""

import logging
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks.paths")
FOLDERS = "upstream|training|pretrain|midtrain|superb|downstream_configs|scripts|docs|tests|samples|constraints"
# In code: `upstream/mmpt_av/`, python scripts/superb/run.py. Not a part of a longer path.
PATH = re.compile(rf"(?<![\w./-])(?:(?:{FOLDERS})/[\w./-]*[\w/]|run_downstream\.py)(?![\w*{{…]|/[*{{])")
PLACEHOLDER = re.compile(r"/(?!README)[A-Z]{3,}")  # downstream_configs/TASK.yaml
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
HISTORY = ("changelog.md",)  # may name what is gone


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Look for each path that stands in the page's code."""
    if page.file.src_uri in HISTORY:
        return
    root = Path(config.config_file_path).parent
    for code in CODE.findall(markdown):
        for path in PATH.findall(code):
            if not PLACEHOLDER.search(path) and not (root / path).exists():
                log.warning("%s names %s, which is not in the repository", page.file.src_uri, path)
