"""The floors of the house: imports point downwards, the encoder needs torch alone, no rule or name hides a file."""

import ast
import functools
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from mmpt.upstream.repository import REPOSITORY

# A floor → what it may import beside itself. Commands are the top floor.
MAY_IMPORT: dict[str, set[str]] = {
    "upstream": set(),
    "downstream_configs": set(),
    "training": {"upstream"},
    "pretrain": {"training", "upstream"},
    "midtrain": {"training", "upstream"},
    "superb": {"upstream"},
    "study": {"superb", "midtrain", "pretrain", "training", "upstream"},
    "scripts": {"study", "superb", "midtrain", "pretrain", "training", "upstream"},
}
# Commands that lie beside their library: they may import the scripts' samples, and only `mmpt` imports them.
COMMANDS = {"pretrain.run", "midtrain.run", "midtrain.translate"}
MAY_IMPORT_COMMANDS = {"scripts.benchmark.contention_training"}  # times a whole run
COMMANDS_MAY_IMPORT = {"scripts.samples.locate"}


def find_modules() -> dict[str, Path]:
    """Return name below mmpt → file, of every module."""
    found = {}
    for floor in MAY_IMPORT:
        for file in (REPOSITORY / floor).rglob("*.py"):
            words = file.relative_to(REPOSITORY).with_suffix("").parts
            found[".".join(words[:-1] if words[-1] == "__init__" else words)] = file
    return found


MODULES = find_modules()


@functools.cache
def imports_of(name: str, at_start: bool = False) -> set[str]:
    """Return full names of what a module imports: everywhere, or only of what is imported when the module is."""
    file = MODULES[name]
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in walk(ast.parse(file.read_text(encoding="utf-8")), at_start):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            words = f"mmpt.{package}".split(".")
            base = ".".join([*words[: len(words) - node.level + 1], node.module or ""]).strip(".")
            base = base if node.level else node.module or ""
            found |= {
                f"{base}.{alias.name}" if f"{base}.{alias.name}".removeprefix("mmpt.") in MODULES else base
                for alias in node.names
            }
    return found


def walk(node: ast.AST, at_start: bool):
    """Yield the nodes below one; without those of functions and of `if TYPE_CHECKING` if only the start counts."""
    for child in ast.iter_child_nodes(node):
        if at_start and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if at_start and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from walk(child, at_start)


def ours(names: set[str]) -> set[str]:
    """Return the names below mmpt."""
    return {name.removeprefix("mmpt.") for name in names if name.startswith("mmpt.")}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_downwards(name):
    floor = name.split(".")[0]
    allowed = MAY_IMPORT[floor] | {floor}
    upwards = {other for other in ours(imports_of(name)) if other.split(".")[0] not in allowed}
    assert upwards - (COMMANDS_MAY_IMPORT if name in COMMANDS else set()) == set()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_nobody_imports_a_command(command):
    assert {name for name in MODULES if command in ours(imports_of(name))} - MAY_IMPORT_COMMANDS == set()


def test_the_encoder_needs_torch_alone():
    """S3PRL brings yaml, which the expert reads its options with, and PyTorch for GPUs brings Triton."""
    allowed = {"torch", *sys.stdlib_module_names}
    extra = {"upstream.mmpt_av.expert": {"yaml"}, "upstream.mmpt_av.depthwise_triton": {"triton"}}
    for name in MODULES:
        if name.startswith("upstream.mmpt_av"):
            tops = {other.split(".")[0] for other in imports_of(name) if not other.startswith("mmpt.upstream.mmpt_av")}
            assert tops - allowed <= extra.get(name, set()), name
            assert "yaml" not in imports_of(name, at_start=True)
            assert name in extra or "mmpt.upstream.mmpt_av.depthwise_triton" not in imports_of(name, at_start=True)


def test_no_modules_import_each_other():
    graph = {name: ours(imports_of(name, at_start=True)) & MODULES.keys() - {name} for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' → '.join(error.args[1])}")


def test_no_file_hides_a_module_of_python():
    """A script's folder is the first place where it looks for modules."""
    folders = {file.parent for file in MODULES.values() if "__main__" in file.read_text(encoding="utf-8")}
    names = {file.stem for folder in folders | {REPOSITORY} for file in folder.glob("*.py")}
    names |= {file.parent.name for folder in folders | {REPOSITORY} for file in folder.glob("*/__init__.py")}
    assert names & set(sys.stdlib_module_names) - {"__init__"} == set()


def test_no_ignore_rule_hides_a_source_file():
    folders = {file.parent.relative_to(REPOSITORY) for file in MODULES.values()}
    folders |= {path.parent.relative_to(REPOSITORY) for path in (REPOSITORY / "tests").rglob("*.py")}
    folders |= {Path(name) for name in (".", "docs", "docs/api", "constraints", ".ci", ".github/workflows")}
    words = ("run", "report", "bundle", "data", "build", "features", "result", "site", "superb")
    ends = (".py", ".md", "/a.py", "/a.yaml")
    invented = [f"{folder}/{word}{end}" for folder in folders for word in words for end in ends]
    invented = [path for path in invented if not path.startswith("./") or path.count("/") == 1]
    tracked = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True).stdout.split()
    paths = [path.removeprefix("./") for path in (*invented, *tracked)]
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    hidden = subprocess.run(command, cwd=REPOSITORY, input="\n".join(paths), capture_output=True, text=True)
    assert hidden.stdout == ""
    assert hidden.stderr == ""
