"""Stage 1 on a cluster: under torchrun and by the Slurm script, here with gloo on CPUs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmpt.pretrain.run import CONFIGS
from mmpt.pretrain.run import main as pretrain
from mmpt.pretrain.validation_record import read_record
from mmpt.training.checkpoints import read_checkpoint
from mmpt.upstream.repository import REPOSITORY

from helpers.clip_files import write_manifest
from helpers.forked_python import REAL_PYTHON
from helpers.torchrun import torchrun

pytestmark = pytest.mark.slow

SCRIPT = REPOSITORY / "scripts" / "slurm" / "train.sh"
OPTIONS = [
    "--objective",
    "mae+clr",
    "--config",
    str(CONFIGS / "samples.yaml"),
    "device=cpu",
    "data.batch_size=4",
    "data.memory_gb=0",
    "video.size=16",
    "video.n_layers=1",
    "masked.decoder_width=32",
    "masked.decoder_layers=1",
    "masked.decoder_heads=2",
    "log_every=1",
    "validate_every=2",
    "checkpoint_every=2",
    "optim.warmup_steps=0",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    clips = [(f"t{i}", 1.0 + 0.1 * i, "train", "ab"[i % 2]) for i in range(9)] + [
        (f"d{i}", 1.2, "dev", "c") for i in range(3)
    ]
    return write_manifest(folder / "clips", clips).parent.parent


def logged(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_two_processes_train_as_one(place):
    data = ["--data", str(place / "clips" / "manifest.tsv")]
    assert pretrain([*OPTIONS, *data, "--out", str(place / "one"), "optim.steps=3"]) == 0
    result = torchrun(
        2, str(REPOSITORY / "pretrain" / "run.py"), *OPTIONS, *data, "--out", "two", "optim.steps=3", folder=place
    )
    assert result.returncode == 0, result.stderr[-2000:]
    one, two = logged(place / "one"), logged(place / "two")
    assert len(one) == len(two) == 6
    for ours, reference in zip(two, one):
        assert ours.keys() == reference.keys()
        for name in {"loss", "audio", "video", "clr", "gradient_norm", "audio_error"} & ours.keys():
            assert ours[name] == pytest.approx(reference[name], rel=2e-3, abs=1e-4), (name, reference["step"])
    intervals = [[(row.figure, row.step, row.clusters) for row in read_record(place / name)] for name in ("one", "two")]
    assert intervals[0] == intervals[1]
    assert result.stdout.count("Encoder (last)") == 1  # one process speaks for all
    assert len(read_checkpoint(place / "two" / "checkpoints" / "latest.pt")["random"]) == 2
    assert pretrain(["--out", str(place / "two"), "--resume"]) == 2  # another number of processes


def test_sigterm_saves_although_it_also_reaches_the_processes_that_read(place):
    """Torchrun stops whole process groups, and with them the processes that read clips."""
    data = ["--data", str(place / "clips" / "manifest.tsv"), "data.workers=1"]
    script = [
        str(REPOSITORY / "pretrain" / "run.py"),
        *OPTIONS,
        *data,
        "--out",
        str(place / "stopped"),
        "optim.steps=5000",
        "checkpoint_every=5000",
        "validate_every=5000",
    ]
    process = subprocess.Popen(
        [REAL_PYTHON, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *script],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    log, started = place / "stopped" / "log.jsonl", time.monotonic()
    while not (log.is_file() and log.read_text().count("\n") >= 4):  # the validation before training, three updates
        assert process.poll() is None and time.monotonic() - started < 240
        time.sleep(0.1)
    process.terminate()
    output, _ = process.communicate(timeout=240)
    assert "Stopped by signal 15" in output
    state = read_checkpoint(place / "stopped" / "checkpoints" / "latest.pt")
    assert state["step"] >= 3 and len(state["random"]) == 2


def test_slurm_script_starts_one_launcher_a_node(place):
    """Two "nodes" of one process each, which meet by the script's own rendezvous."""
    assert subprocess.run(["bash", "-n", str(SCRIPT)]).returncode == 0
    tools = place / "tools"
    tools.mkdir()
    stand_ins = {
        "srun": """\
[ "$2" = --cpus-per-task=64 ] || exit 1
shift 2  # its own options
for node in $(seq "$SLURM_NNODES"); do "$@" & nodes="$nodes $!"; done
for node in $nodes; do wait "$node" || exit 1; done""",
        "scontrol": "echo localhost\necho localhost",
        "torchrun": f'exec {sys.executable} -m torch.distributed.run "$@"',
    }
    for name, text in stand_ins.items():
        (tools / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tools / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "SLURM_NNODES": "2",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "a[1-2]",
        "GPUS_PER_NODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [
        "bash",
        str(SCRIPT),
        "pretrain/run.py",
        *OPTIONS,
        "--data",
        str(place / "clips" / "manifest.tsv"),
        "--out",
        str(place / "slurm"),
        "optim.steps=3",
    ]
    result = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr[-2000:]
    assert len(read_checkpoint(place / "slurm" / "checkpoints" / "latest.pt")["random"]) == 2
    environment["SLURM_RESTART_COUNT"] = "1"  # as when the job was queued again
    again = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=240)
    assert again.returncode == 0 and "Resumed" in again.stdout, again.stderr[-2000:]
