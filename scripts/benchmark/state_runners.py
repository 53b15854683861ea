"""S3PRL's training loop with states that are computed, kept on disk, or zeros; timed on the same batches."""

import argparse
import contextlib
import io
import math
import random
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mmpt.scripts.benchmark.timing import ratios, seconds, spread
from mmpt.scripts.samples.locate import built_samples
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.progress import Progress
from mmpt.upstream.s3prl_runner import arguments as stock_arguments
from mmpt.upstream.s3prl_runner import defaults, registration, repairs, watch
from mmpt.upstream.s3prl_runner.data import configs_folder
from mmpt.upstream.s3prl_runner.launcher import surroundings
from mmpt.upstream.s3prl_runner.tasks import superb_task

if TYPE_CHECKING:
    from s3prl.downstream.runner import Runner

CONTENDERS = ("computed", "kept", "instant")
NEVER = 10**9  # steps


class Instant(torch.nn.Module):
    """States of zeros, of the shapes that the encoder gives."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config

    def get_downsample_rates(self, key: str) -> int:
        return self.config.frame_hop

    def forward(self, wavs: list[torch.Tensor]) -> dict:
        frames = math.ceil(max(map(len, wavs)) / self.config.frame_hop)
        states = wavs[0].new_zeros(self.config.n_layers + 1, len(wavs), frames, self.config.d_model)
        return {"hidden_states": list(states)}


def make_runner(task: str, contender: str, folder: Path, options: argparse.Namespace) -> "Runner":
    """Make S3PRL's Runner as `run_downstream.py` would, for `options.steps` steps without evaluation or saving."""
    import s3prl.downstream.runner
    import s3prl.hub
    import s3prl.run_downstream

    registration.register({"cache_dir": str(folder / "states")} if contender == "kept" else None)
    if contender == "instant":
        s3prl.hub.mmpt_av = lambda ckpt, model_config=None, refresh=False: Instant(EncoderConfig.preset(options.preset))
    settings = {f"runner.{name}": NEVER for name in ("eval_step", "save_step", "log_step")}
    settings |= {"runner.total_steps": options.steps, superb_task(task).workers_key: options.workers}
    argv = ["-u", "mmpt_av", "-k", str(folder / "encoder.pt"), "-d", task, "--device", options.device]
    argv += ["-p", str(folder / f"{task}-{contender}")]
    argv += ["-o", ",,".join(f"config.{key}={value}" for key, value in settings.items())]
    argv += ["--data-root", options.data_root] if options.data_root else []
    argv += ["-c", str(configs_folder() / f"{task}.yaml")] if options.batch == "own" else []
    values = defaults.fill(stock_arguments.parse(argv), surroundings(built_samples)).values
    typed, sys.argv = sys.argv, ["run_downstream.py", *stock_arguments.to_stock_argv(values)]
    try:
        args, config, _ = s3prl.run_downstream.get_downstream_args()
    finally:
        sys.argv = typed
    return s3prl.downstream.runner.Runner(args, config)


def train(runner: "Runner", seed: int) -> None:
    """Train once on the batches that the seed draws."""
    random.seed(seed)  # KS cuts its silences with it
    torch.manual_seed(seed)
    runner.train()


def compare(task: str, options: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Return the seconds a step of each contender, by round."""
    device = torch.device(options.device)
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        runners = {name: make_runner(task, name, folder, options) for name in CONTENDERS}
    for turn in Progress(range(options.rounds + 1), desc=f"{task}: rounds", unit="round"):
        for name, runner in runners.items():
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                spent = seconds(partial(train, runner, options.seed), device)
            if turn:  # the first fills the cache
                times[name].append(spent / options.steps)
    cache = runners["kept"].upstream.model.cache
    loader = runners["computed"].downstream.model.get_dataloader("train")
    print(f"\n{task}: {len(loader)} steps an epoch, {cache.read:,} utterances read, {cache.computed:,} computed")
    return times


def measured(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Yield each task with the seconds a step of all contenders; see kept_states.py for the options."""
    torch.set_num_threads(options.threads)
    repairs.apply()
    observer = watch.Watch()
    observer.start()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            torch.manual_seed(options.seed)
            save_encoder(Encoder(EncoderConfig.preset(options.preset)), folder / "encoder.pt", {"stages": []})
            for task in options.tasks.split(","):
                yield task, compare(task, options, folder)
    finally:
        observer.folder = None  # gone with its parent
        observer.stop()


def benchmark(options: argparse.Namespace) -> None:
    """Time all contenders on each task, and print their figures."""
    for _, times in measured(options):
        for contender in CONTENDERS:
            print(f"  {contender:8s} {spread(times[contender])} s a step")
        print(f"  computed over kept: {spread(ratios(times['computed'], times['kept']))}")
        most = spread(ratios(times["computed"], times["instant"]))
        print(f"  computed over instant, the most that a cache could gain: {most}")
