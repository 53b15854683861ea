"""The extras of setup.cfg: each brings what the folders that it serves import, and nothing else."""

import ast
import configparser
import re
import sys

import pytest

from mmpt.upstream.extras import extra_of
from mmpt.upstream.repository import REPOSITORY

# Module → distribution, where the names differ.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "magic": "python-magic",
    "pyannote": "pyannote.metrics",
    "yaml": "pyyaml",
}
# Modules that bring another distribution into use.
THROUGH = {"torch.utils.tensorboard": "tensorboard"}
# S3PRL imports them on the way to its tasks, and does not require them.
FOR_S3PRL = {"dtw-python", "joblib", "lxml", "pandas", "scikit-learn", "tensorboardx"}
NOT_IMPORTED = {"torchaudio"}  # S3PRL's tasks read sound with it


def read_extras() -> dict[str, set[str]]:
    """Return extra → distributions; an extra holds those of the extras that it names."""
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    lists = {name: text.split("\n") for name, text in config["options.extras_require"].items()}

    def expand(name: str) -> set[str]:
        found = set()
        for line in filter(None, lists[name]):
            if line.startswith("#"):
                continue
            if line.startswith("mmpt-av["):
                found |= set().union(*(expand(other) for other in line[8:-1].split(",")))
            else:
                found.add(re.match(r"[\w.-]+", line)[0].lower())
        return found

    return {name: expand(name) for name in lists}


EXTRAS = read_extras()
FILES = sorted(
    file.relative_to(REPOSITORY)
    for floor in ("upstream", "training", "pretrain", "midtrain", "superb", "study", "scripts")
    for file in (REPOSITORY / floor).rglob("*.py")
)


def third_party(path) -> set[str]:
    """Return the distributions that a file imports from, without torch and Triton, which comes with torch for GPUs."""
    names = set()
    for node in ast.walk(ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    found = {distribution for module, distribution in THROUGH.items() if module in names}
    tops = {name.split(".")[0] for name in names} - {"mmpt", "torch", "triton", *sys.stdlib_module_names}
    return found | {DISTRIBUTIONS.get(top, top).lower() for top in tops}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_s_extra_brings_what_it_imports(path):
    if path.name == "flat_import.py":
        return  # runs in the folder of the hidden set, and imports its expert
    extra = extra_of(REPOSITORY / path)
    if extra:
        allowed = EXTRAS[extra]
    elif path.is_relative_to("upstream/mmpt_av"):
        allowed = {"pyyaml"} if path.name == "expert.py" else set()  # S3PRL brings it
    else:  # what all stages share, and `mmpt`
        allowed = EXTRAS["training"] & EXTRAS["bundle"]
    assert third_party(path) <= allowed


@pytest.mark.parametrize("extra", ["training", "superb", "bundle"])
def test_an_extra_brings_nothing_that_no_file_imports(extra):
    used = set().union(*map(third_party, FILES))
    assert EXTRAS[extra] - used - FOR_S3PRL - NOT_IMPORTED == set()


def test_all_is_what_the_others_bring():
    assert EXTRAS["all"] == set().union(*(EXTRAS[name] for name in EXTRAS if name != "superb-all"))
