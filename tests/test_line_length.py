"""No line of code, YAML or shell is longer than 120 columns; ruff looks at Python alone."""

import subprocess

from mmpt.upstream.repository import REPOSITORY

KINDS = ("*.py", "*.sh", "*.yaml", "*.yml", "*.toml", "*.cfg", ".ci/run")
LONGEST = 120


def test_no_line_is_too_long():
    names = subprocess.run(["git", "ls-files", *KINDS], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    files = [REPOSITORY / name for name in names.stdout.splitlines()]
    assert len(files) > 300
    too_long = [
        f"{file}:{number}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > LONGEST
    ]
    assert not too_long
