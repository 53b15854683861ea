#!/usr/bin/env bash
# Sets up the environment that every other script uses: .venv with the reference stack. With --floor it is .venv-floor
# with the oldest stack that setup.cfg allows, on Python 3.10 if there is one; with --newest it is .venv-newest with the
# newest one, on Python 3.13 if there is one. Does nothing if it is set up already and no requirement has changed.
#   bash scripts/setup.sh [--floor | --newest]        PYTHON=python3.12 bash scripts/setup.sh
set -euo pipefail
unset CDPATH PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET  # of other projects
unset PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX  # importing torch without byte code takes twice as long
cd "$(dirname "$0")/.."

pythons="python3 python3.13 python3.12 python3.11 python3.10"
prefer=
case "${1:-}" in
    "") venv=.venv stack=reference extras=all ;;
    --floor) venv=.venv-floor stack=floor extras=training,superb,test prefer=3.10 ;;
    --newest) venv=.venv-newest stack=newest extras=training,superb,test prefer=3.13 ;;
    *) echo "usage: bash scripts/setup.sh [--floor | --newest]" >&2; exit 2 ;;
esac
if [ -n "$prefer" ]; then
    pyenv=$(pyenv root 2>/dev/null || true)  # it puts one version at a time on the path
    pythons="python$prefer $(ls -d "$pyenv/versions/$prefer".*/bin/python 2>/dev/null || true) $pythons"
fi
if [ -e "$venv" ] && [ ! -e "$venv/made-by-setup" ]; then
    echo "error: $PWD/$venv exists but was not made by this script; move it away" >&2; exit 2
fi

# PYTHON, else the one that made the environment, else the first of `pythons`. 3.14 has not been tried.
supported='import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))'
python=""
for candidate in ${PYTHON:-"$venv/bin/python" $pythons}; do
    if command -v "$candidate" >/dev/null && "$candidate" -c "$supported" 2>/dev/null; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    echo "error: ${PYTHON:-no python3 here} is not a Python from 3.10 to 3.14 with venv" \
        "(Debian, Ubuntu: apt install python3-venv); PYTHON=... names one" >&2
    exit 2
fi

# What the environment is made from. If this changes, it is brought up to date, or made again.
base="$("$python" -V) in $PWD"
wanted="$base $(cat setup.cfg setup.py pyproject.toml constraints/common.txt "constraints/$stack.txt" | sha256sum)"
made=$(cat "$venv/made-by-setup" 2>/dev/null || true)
if [ "$made" = "$wanted" ]; then exit 0; fi

echo "Setting up $venv: $base, the $stack stack (about 5 GB, some minutes the first time)"
case "$made" in
    "$base "*) ;;  # the same Python in the same place: its packages are brought up to date
    *) python=$("$python" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))')
       rm -rf "$venv"
       mkdir "$venv"; echo "unfinished" > "$venv/made-by-setup"
       "$python" -m venv "$venv" ;;
esac
# Compiling all packages would take half a minute; the last step below compiles what is used.
# On a terminal pip shows each download's rate and time left; in a log it would fill pages.
quiet=--quiet; if [ -t 1 ]; then quiet=--progress-bar=on; fi
"$venv/bin/python" -m pip install --disable-pip-version-check "$quiet" --no-compile \
    --constraint "constraints/$stack.txt" --editable ".[$extras]"

# Editors and type checkers do not follow pip's editable finder, but they follow links: mmpt/upstream is ./upstream.
packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -rf "$packages/mmpt"
mkdir "$packages/mmpt"
for marker in */py.typed; do ln -s "$PWD/${marker%/*}" "$packages/mmpt/"; done

# Byte code of what commands load, so that it is there even where PYTHONDONTWRITEBYTECODE is set later. What cannot be
# imported is left to the command that needs it.
"$venv/bin/python" - >/dev/null 2>&1 <<'IMPORTS' || true
import mmpt.midtrain.task, mmpt.pretrain.task, mmpt.training.trainer, mmpt.upstream.mmpt_av.expert
from mmpt.upstream.s3prl_runner import registration, repairs
repairs.apply()
registration.register(None)
import s3prl.run_downstream
IMPORTS
echo "$wanted" > "$venv/made-by-setup"
