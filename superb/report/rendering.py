"""Put figures and templates into files: for pages of results that need no other file."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from mmpt.superb.report.style import pyplot
from mmpt.upstream.files import replacing

DPI = 160
SHOWN_AT = 110  # pixels of the page to an inch of a figure
EMPTY = {"Creator": None, "Producer": None, "CreationDate": None}  # of a PDF: equal results give equal bytes


@dataclass
class Drawn:
    """A figure on the page.

    Args:
        name: of its files.
        caption: under it.
        png: its bytes.
        width: in pixels of the page.
    """

    name: str
    caption: str
    png: bytes
    width: int

    @property
    def base64(self) -> str:
        return base64.b64encode(self.png).decode("ascii")


def draw(folder: Path, name: str, figure: Figure, caption: str) -> Drawn:
    """Write a figure to figures/ in the page's folder, as PNG and PDF, and close it."""
    place = folder / "figures"
    place.mkdir(parents=True, exist_ok=True)
    options: dict[str, dict] = {"png": {"dpi": DPI, "metadata": {"Software": None}}, "pdf": {"metadata": EMPTY}}
    for kind, settings in options.items():
        with replacing(place / f"{name}.{kind}") as temporary:
            figure.savefig(temporary, format=kind, **settings)
    width = round(figure.get_figwidth() * SHOWN_AT)
    pyplot.close(figure)
    return Drawn(name, caption, (place / f"{name}.png").read_bytes(), width)


def rendered(template: Path, **content: Any) -> str:
    """Return a page. The template may import parts.html of this folder, and files beside it."""
    folders = [template.parent, Path(__file__).parent]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(template.name).render(**content)
