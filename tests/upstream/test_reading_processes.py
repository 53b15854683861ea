"""Processes that read batches end with a run that is killed, though nobody takes their batches any more."""

import subprocess
import sys

import pytest

from helpers.processes import is_running, wait_for

STAGES = "from mmpt.training.stop_signal import leave_signals_to_parent as first\n"
RUNNER = """\
import sys, types
import s3prl
from mmpt.upstream.s3prl_runner import launcher

first = None
s3prl.run_downstream = sys.modules["s3prl.run_downstream"] = types.SimpleNamespace(main=lambda: None)
launcher.run_stock({"device": "cpu", "upstream": "fbank"})
"""
RUN = """\
import os, signal, sys, time
from torch.utils.data import DataLoader

class Batches:
    def __len__(self):
        return 20

    def __getitem__(self, index):
        return bytes(1 << 20)  # more than a pipe holds

batches = iter(DataLoader(Batches(), batch_size=None, num_workers=2, worker_init_fn=first))
next(batches)
print(*(worker.pid for worker in batches._workers), flush=True)
time.sleep(0.5)  # the pipe is full
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("set_up", [STAGES, RUNNER], ids=["stages 1 and 2", "S3PRL's runner"])
def test_processes_that_read_batches_end_with_a_killed_run(set_up):
    done = subprocess.run([sys.executable, "-c", set_up + RUN], stdout=subprocess.PIPE, text=True, timeout=120)
    workers = [int(word) for word in done.stdout.split()]
    assert len(workers) == 2
    wait_for(lambda: not any(map(is_running, workers)))
