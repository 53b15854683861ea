"""The command `mmpt` and every --help, in a Python without any library: so it answers at once."""

import json
import subprocess
import sys

import pytest

from mmpt.scripts import cli
from mmpt.upstream import repository
from mmpt.upstream.extras import EXTRAS, extra_of, what_to_install
from mmpt.upstream.repository import REPOSITORY

from helpers.forked_python import REAL_PYTHON

BENCHMARKS = sorted(
    file.stem
    for file in (REPOSITORY / "scripts" / "benchmark").glob("*.py")
    if "\ndef main(" in file.read_text(encoding="utf-8")
)
MODULES = {name: command.module for name, command in cli.COMMANDS.items()}
MODULES |= {f"benchmark {name}": f"scripts.benchmark.{name}" for name in BENCHMARKS}

ASK_ALL = """
import contextlib, importlib, io, json, sys, traceback
from mmpt.scripts import cli

def ask(call):
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = call()
    except SystemExit as end:
        status = end.code
    except BaseException:
        status = "traceback"
        traceback.print_exc(file=out)
    return {"status": status, "text": out.getvalue()}

answers = {}
for name, module in json.loads(sys.argv[1]).items():
    if name in cli.COMMANDS:
        answers[f"mmpt {name}"] = ask(lambda: cli.main([*name.split(), "--help"]))
    sys.argv = [f"somewhere/{module.rpartition('.')[2]}.py", "--help"]
    answers[module] = ask(lambda: importlib.import_module(f"mmpt.{module}").main())
print(json.dumps(answers))
"""


def bare_python(folder, code, *arguments):
    """Run code in a Python that finds the project, and no library: site-packages are left out."""
    if not (folder / "mmpt").exists():
        (folder / "mmpt").symlink_to(REPOSITORY)
    command = [REAL_PYTHON, "-S", "-c", code, *arguments]
    environment = {"PYTHONPATH": str(folder), "COLUMNS": "120"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, dict]:
    """What each command answers to --help, all asked in one process."""
    result = bare_python(tmp_path_factory.mktemp("bare"), ASK_ALL, json.dumps(MODULES))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_of_a_subcommand_needs_no_library(answers, name):
    answer = answers[f"mmpt {name}"]
    assert answer["status"] == 0, answer["text"]
    assert answer["text"].startswith(f"usage: mmpt {name} [")


@pytest.mark.slow
@pytest.mark.parametrize("module", sorted(set(MODULES.values())))
def test_help_of_a_script_needs_no_library(answers, module):
    answer, script = answers[module], module.rpartition(".")[2] + ".py"
    assert answer["status"] == 0, answer["text"]
    assert answer["text"].startswith(f"usage: {script} [")
    assert max(map(len, answer["text"].splitlines())) <= 120


def test_the_commands_are_listed_with_a_line_each(capsys):
    assert cli.main([]) == cli.main(["--help"]) == 0
    twice = capsys.readouterr().out
    assert twice[: len(twice) // 2] == twice[len(twice) // 2 :]
    assert {line.split()[0] for line in twice.splitlines() if line.startswith("  ")} == {
        name.split()[0] for name in cli.COMMANDS
    }
    assert cli.main(["superb", "--help"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert listed == ["run", "check", "check-data", "compare", "submit", "score", "cost", "report"]


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("pretrian", "did you mean mmpt pretrain?"),
        ("superb scor", "did you mean mmpt superb score?"),
        ("check-data", "did you mean mmpt superb check-data?"),
        ("prepar", "did you mean mmpt prepare?"),
        ("superb nothing", "mmpt superb --help lists all"),
    ],
)
def test_an_unknown_subcommand_gets_the_nearest_name(capsys, typed, hint):
    assert cli.main(typed.split()) == 2
    assert capsys.readouterr().err == f"error: mmpt {typed}: no such command; {hint}\n"


@pytest.mark.parametrize("name", ["samples", "quickstart"])
def test_a_command_that_needs_a_clone_reports_it(monkeypatch, tmp_path, capsys, name):
    monkeypatch.setattr(repository, "REPOSITORY", tmp_path)
    assert cli.main([name]) == 2
    assert capsys.readouterr().err.startswith(f"error: mmpt {name} needs the recordings of the repository")


def test_the_program_s_name_is_put_back(capsys):
    before = list(sys.argv)
    with pytest.raises(SystemExit):
        cli.main(["export", "--help"])
    assert sys.argv == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "extra"),
    [
        ("export --untrained tiny --out x.pt", "training"),
        ("superb run --encoder fbank --out x", "superb"),
        ("superb score bundle --truth x", "bundle"),
        ("downstream -u mmpt_av -d ks", "superb"),
    ],
)
def test_a_missing_library_is_a_line_that_names_the_extra(tmp_path, words, extra):
    code = "import sys\nfrom mmpt.scripts import cli\nsys.exit(cli.main(sys.argv[1:]))"
    result = bare_python(tmp_path, code, *words.split())
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith(f" is not installed: pip install 'mmpt-av[{extra}]'\n")


def test_files_know_their_extra():
    assert all((REPOSITORY / path).exists() for path in EXTRAS)
    assert extra_of(REPOSITORY / "upstream/mmpt_av/encoder.py") is None
    assert extra_of(REPOSITORY / "upstream/s3prl_runner/launcher.py") == "superb"
    assert extra_of(REPOSITORY / "scripts/cli.py") is None
    assert what_to_install(ModuleNotFoundError("No module named 'mmpt.nothing'", name="mmpt.nothing")) is None
    assert what_to_install(ModuleNotFoundError("No module named 'distutils'", name="json")) is None
