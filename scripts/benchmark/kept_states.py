"""Times S3PRL's own training loop on KS and PR with states kept on disk against computing them anew, in turn in one process.

A third contender has an encoder that answers at once with zeros of the right shape: what it takes is the runner's own share (reading
sound, featurizer, head, optimiser), which no cache can save. All train on the same batches, drawn by the same seed; the
cache is filled by a first pass that is not timed. The encoder is untrained, which changes no time.
"""

import argparse
import contextlib
import io
import math
import sys
import tempfile
from pathlib import Path

import torch
from tqdm import tqdm

from mmpt.scripts.benchmark.timing import ratios, seconds, spread
from mmpt.scripts.samples.locate import built_samples
from mmpt.upstream.command import clean_exit
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.mmpt_av.config import PRESETS
from mmpt.upstream.s3prl_runner import arguments as stock_arguments
from mmpt.upstream.s3prl_runner import defaults, registration, repairs, watch
from mmpt.upstream.s3prl_runner.launcher import best_device, surroundings
from mmpt.upstream.s3prl_runner.tasks import find_task

CONTENDERS = ("computed", "kept", "instant")
EXAMPLES = """\
examples:
  python scripts/benchmark/kept_states.py                       `base` on the samples, some minutes on two cores
  python scripts/benchmark/kept_states.py --data-root /corpora --steps 200 --batch own --workers 4     on a GPU
"""


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


def make_runner(task: str, contender: str, folder: Path, options: argparse.Namespace):
    """S3PRL's Runner as `run_downstream.py` would make it, for `options.steps` steps without evaluation or saving."""
    import s3prl.hub
    import s3prl.run_downstream
    from s3prl.downstream.runner import Runner

    registration.register({"cache_dir": str(folder / "states")} if contender == "kept" else None)
    if contender == "instant":
        s3prl.hub.mmpt_av = lambda ckpt, model_config=None, refresh=False: Instant(EncoderConfig.preset(options.preset))
    never = str(10**9)
    settings = {f"runner.{name}": never for name in ("eval_step", "save_step", "log_step")} | {
        "runner.total_steps": str(options.steps)
    }
    if options.workers is not None:
        settings[find_task(task).workers_key] = str(options.workers)
    override = ",,".join(f"config.{key}={value}" for key, value in settings.items())
    argv = [
        "-u",
        "mmpt_av",
        "-k",
        str(folder / "encoder.pt"),
        "-d",
        task,
        "-p",
        str(folder / f"{task}-{contender}"),
        "--device",
        options.device,
    ]
    argv += ["-o", override]
    argv += ["--data-root", options.data_root] if options.data_root else []
    argv += ["-c", str(defaults.data.configs_folder() / f"{task}.yaml")] if options.batch == "own" else []
    values = defaults.fill(stock_arguments.parse(argv), surroundings(built_samples)).values
    typed, sys.argv = sys.argv, ["run_downstream.py", *stock_arguments.to_stock_argv(values)]
    try:
        args, config, _ = s3prl.run_downstream.get_downstream_args()
    finally:
        sys.argv = typed
    return Runner(args, config)


def train(runner, seed: int) -> None:
    """One training of the runner on the batches that the seed draws."""
    import random

    random.seed(seed)  # KS cuts its silences with it
    torch.manual_seed(seed)
    runner.train()


def compare(task: str, options: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Seconds a step of each contender, by round."""
    device = torch.device(options.device)
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        runners = {name: make_runner(task, name, folder, options) for name in CONTENDERS}
    for turn in tqdm(range(options.rounds + 1), desc=f"{task}: rounds", unit="round"):
        for name, runner in runners.items():
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                spent = seconds(lambda: train(runner, options.seed), device)
            if turn:  # the first fills the cache
                times[name].append(spent / options.steps)
    cache = runners["kept"].upstream.model.cache
    loader = runners["computed"].downstream.model.get_dataloader("train")
    print(f"\n{task}: {len(loader)} steps an epoch, {cache.read:,} utterances read, {cache.computed:,} computed")
    return times


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--tasks", default="ks,pr", metavar="LIST", help="default: %(default)s")
    p.add_argument(
        "--preset", choices=sorted(PRESETS), default="base", help="sizes of the encoder (default: %(default)s)"
    )
    p.add_argument("--data-root", metavar="DIR", help="corpora; default: the built samples")
    p.add_argument(
        "--batch",
        choices=["quick", "own"],
        default="own",
        help="batch sizes of the samples' settings, or the tasks' own (default: %(default)s)",
    )
    p.add_argument("--steps", type=int, default=10, help="of a round (default: %(default)s)")
    p.add_argument("--rounds", type=int, default=3, help="timed, after one that is not (default: %(default)s)")
    p.add_argument("--workers", type=int, default=0, help="loader processes (default: %(default)s)")
    p.add_argument("--threads", type=int, default=2, help="of the processor (default: %(default)s)")
    p.add_argument("--device", choices=["cuda", "cpu"], default=best_device(), help="default: %(default)s here")
    p.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Times; returns the exit status."""
    options = parser().parse_args(argv)
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
                times = compare(task, options, folder)
                for contender in CONTENDERS:
                    print(f"  {contender:8s} {spread(times[contender])} s a step")
                print(f"  computed over kept: {spread(ratios(times['computed'], times['kept']))}")
                print(
                    f"  computed over instant, the most that a cache could gain: {spread(ratios(times['computed'], times['instant']))}"
                )
    finally:
        observer.folder = None  # gone with its parent
        observer.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
