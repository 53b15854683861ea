"""The wheel: built, installed beside torch alone, and used from another folder."""

import importlib.metadata
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from mmpt.upstream.repository import REPOSITORY

from helpers.forked_python import REAL_PYTHON

pytestmark = pytest.mark.slow
SOURCES = ("README.md", "LICENSE", "setup.py", "setup.cfg", "pyproject.toml")
USE_ENCODER = """
import sys, torch
from pathlib import Path
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, load_encoder, save_encoder
encoder = Encoder(EncoderConfig.preset("tiny")).eval()
save_encoder(encoder, "encoder.pt", {"stages": []})
again, wav = load_encoder("encoder.pt"), 0.1 * torch.randn(8000)
with torch.no_grad():
    assert all(map(torch.equal, encoder([wav]).hidden_states, again([wav]).hidden_states))
print(sys.modules["mmpt.upstream.mmpt_av"].__file__)
"""


def run(*command, **options):
    """Run a command that must succeed."""
    result = subprocess.run(command, capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def needed_by(distribution: str) -> set[str]:
    """Name a distribution and all that it requires here."""
    found, wanted = set(), [distribution]
    while wanted:
        name = wanted.pop()
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # of another platform
            continue
        if name not in found:
            found.add(name)
            wanted += [re.match(r"[\w.-]+", text)[0] for text in requirements if "extra ==" not in text]
    return found


def link_torch(folder: Path) -> None:
    """Make torch importable from a folder, with what it requires and nothing else."""
    folder.mkdir()
    for name in needed_by("torch"):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(distribution.locate_file(top))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy: a build in the repository would pack what earlier builds left there."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copy(REPOSITORY / name, folder)
    for package in (marker.parent for marker in REPOSITORY.glob("*/py.typed")):
        shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    build = (REAL_PYTHON, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "dist", ".")
    run(*build, cwd=folder)
    return next((folder / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel and torch."""
    folder = tmp_path_factory.mktemp("installed")
    run(REAL_PYTHON, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    run(REAL_PYTHON, "-m", "pip", "--quiet", "--python", python, "install", "--no-deps", "--no-index", wheel)
    link_torch(folder / "libraries")
    site = next((folder / "venv" / "lib").glob("python*/site-packages"))
    (site / "libraries.pth").write_text(f"{folder / 'libraries'}\n")
    return folder / "venv"


def test_the_wheel_holds_code_and_settings_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("mmpt/")}
    for wanted in (
        "upstream/py.typed",
        "upstream/mmpt_av/LICENSE",
        "upstream/mmpt_av/encoder.py",
        "pretrain/configs/paper.yaml",
        "midtrain/configs/must_c.yaml",
        "downstream_configs/quick/asr.yaml",
        "downstream_configs/evening/asr.yaml",
        "downstream_configs/vocabulary/phoneme.txt",
        "superb/report/page.html",
        "superb/scoring/published.yaml",
        "scripts/cli.py",
    ):
        assert f"mmpt/{wanted}" in names
    sources = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=REPOSITORY).split()
    packed = (".py", ".yaml", ".html", ".txt", ".sh", "py.typed", "LICENSE")
    folders = {name.split("/")[1] for name in names}
    expected = {
        f"mmpt/{name}"
        for name in sources
        if name.split("/")[0] in folders and name.endswith(packed) and (REPOSITORY / name).is_file()
    }
    scripts = ("quickstart.sh", "setup.sh", "test.sh", "train_demo.sh")
    left_out = {f"mmpt/scripts/{name}" for name in scripts}
    assert expected - left_out == names


def test_the_encoder_s_folder_has_the_project_s_licence():
    """It can be copied into other projects, and is, into the hidden set's folder."""
    assert (REPOSITORY / "upstream/mmpt_av/LICENSE").read_text() == (REPOSITORY / "LICENSE").read_text()


def test_an_encoder_is_made_saved_and_loaded(installed, tmp_path):
    file = Path(run(installed / "bin" / "python", "-c", USE_ENCODER, cwd=tmp_path).strip())
    assert file.is_relative_to(installed)
    assert (file.parents[1] / "py.typed").is_file()


def test_the_command_is_there(installed, tmp_path):
    mmpt = installed / "bin" / "mmpt"
    assert run(mmpt, "--help", cwd=tmp_path).startswith("usage: mmpt COMMAND")
    assert run(mmpt, "superb", "run", "--help", cwd=tmp_path).startswith("usage: mmpt superb run")
    run(mmpt, "export", "--untrained", "tiny", "--out", "untrained.pt", cwd=tmp_path)
    assert (tmp_path / "untrained.pt").is_file()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("quickstart", "needs the recordings of the repository"),
        ("samples --out x", "needs the recordings of the repository"),
        ("superb run --encoder fbank --out x", "is not installed: pip install 'mmpt-av[superb]'"),
        ("extract x.wav --ckpt x.pt --out x", "is not installed: pip install 'mmpt-av[training]'"),
    ],
)
def test_what_is_missing_is_one_line(installed, tmp_path, words, line):
    result = subprocess.run([installed / "bin" / "mmpt", *words.split()], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 2
    assert line in result.stderr.splitlines()[-1]  # before it torch may warn that there is no numpy
    assert "Traceback" not in result.stderr
