"""Pages of the site that lie outside docs/: the contribution guide, the changelog and the samples' README."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "samples/README.md": "samples.md"}
SITE_LINKS = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, with their links changed to the site's."""
    root = Path(config.config_file_path).parent
    for source, page in PAGES.items():
        text = site_links((root / source).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=text))
    return files


def site_links(text: str) -> str:
    """Turn links to repository files into links to pages; a file that is no page loses its link.

    >>> site_links("[a](docs/data.md) [b](CHANGELOG.md) [MIT](LICENSE)")
    '[a](data.md) [b](changelog.md) MIT'
    """

    def replace(match: re.Match) -> str:
        label, target = match.groups()
        if target.startswith(("http:", "https:", "#")):
            return match[0]
        page = SITE_LINKS.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        return f"[{label}]({page})" if page else label

    return re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", replace, text)
