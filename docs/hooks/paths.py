"""Warn about repository paths that a page names and that are missing, so that a strict build fails."""

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
NOT_OURS = re.compile(r"/(?!README)[A-Z]{3,}|\.(mp4|wav|pt)$")  # downstream_configs/TASK.yaml; a corpus's own folders
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
HISTORY = ("changelog.md",)  # may name what is gone


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Look for each path that stands in the page's code."""
    if page.file.src_uri in HISTORY:
        return
    root = Path(config.config_file_path).parent
    for code in CODE.findall(markdown):
        for path in PATH.findall(code):
            if not NOT_OURS.search(path) and not (root / path).exists():
                log.warning("%s names %s, which is not in the repository", page.file.src_uri, path)
