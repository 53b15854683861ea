"""Reference pages of all packages: one page a package, its modules in a row, filled by mkdocstrings from docstrings.

The encoder's page is written by hand (api/encoder.md). Files that are commands are left to the pages of the commands.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from mmpt.scripts import cli

FOLDER = "api"
PACKAGES = {  # title and subject of each
    "training": ("Training", "what stages 1 and 2 share: the loop, settings, processes, run folders, reading of media"),
    "pretrain": ("Pre-training", "stage 1: objectives, models and clips"),
    "midtrain": ("Mid-training", "stage 2: the translation model, its data and its search"),
    "superb": ("SUPERB", "stage 3: jobs, data checks and results"),
    "superb.scoring": ("Scores", "the leaderboard's rules, offline"),
    "superb.submission": ("Submission", "bundles for the leaderboard"),
    "superb.report": ("Reports", "tables and figures of runs"),
    "study": ("The study", "all three stages for several encoders, and the page that compares them"),
    "upstream.s3prl_runner": ("S3PRL's runner", "what makes S3PRL run on today's PyTorch, and registers `mmpt_av`"),
    "upstream": ("Shared", "small files that all others use"),
}
INDEX = """\
# API reference

These pages are made from the docstrings.
Import names are folder paths under `mmpt`: `upstream/mmpt_av/encoder.py` is `mmpt.upstream.mmpt_av.encoder`.

| page | holds |
|---|---|
| [The encoder](encoder.md) | encoder, configuration, checkpoint, front end, cache, S3PRL expert |
"""
CONVENTIONS = """
Shapes are given as `(B, T, C)`, batch first.
`wav` is `(samples,)`, `feats` are `(B, T, 80)`, `lengths` are `(B,)`.
Names end in `_s` for seconds, `_samples` for samples and `_frames` for frames.
"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation, in place of the entry `API reference: api/`."""
    pages = [f"{FOLDER}/index.md", {"The encoder": f"{FOLDER}/encoder.md"}]
    pages += [{title: f"{FOLDER}/{package}.md"} for package, (title, _) in PACKAGES.items()]
    config.nav = [
        {"API reference": pages} if entry == {"API reference": f"{FOLDER}/"} else entry for entry in config.nav
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    root = Path(config.config_file_path).parent
    index = INDEX
    for package, (title, subject) in PACKAGES.items():
        text = f"# {title}\n\n`mmpt.{package}`: {subject}.\n"
        for module in modules(root, package):
            text += f"\n## {module}\n\n::: mmpt.{module}\n    options:\n      heading_level: 3\n"
        files.append(File.generated(config, f"{FOLDER}/{package}.md", content=text))
        index += f"| [{title}]({package}.md) | {subject} |\n"
    files.append(File.generated(config, f"{FOLDER}/index.md", content=index + CONVENTIONS))
    return files


def modules(root: Path, package: str) -> list[str]:
    """Return the modules of a package and of its folders that have no page of their own, commands left out."""
    commands = {command.module for command in cli.COMMANDS.values()}
    other_pages = {*PACKAGES, "upstream.mmpt_av"} - {package, package.partition(".")[0]}
    found = []
    for file in sorted((root / package.replace(".", "/")).rglob("*.py")):
        names = file.relative_to(root).with_suffix("").parts
        packages = {".".join(names[:n]) for n in range(1, len(names))}
        if packages & other_pages or not (file.parent / "__init__.py").is_file():
            continue  # the second: a part of one of S3PRL's packages
        if names[-1] != "__init__" and ".".join(names) not in commands:
            found.append(".".join(names))
    return found
