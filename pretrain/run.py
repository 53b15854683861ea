"""Stage 1: pre-trains an audio encoder on audio-visual clips without labels, and leaves RUN/encoder.pt."""

import argparse
import dataclasses
import sys
from pathlib import Path

try:
    import mmpt.upstream.mmpt_av  # noqa: F401
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

from mmpt.pretrain.model import OBJECTIVES
from mmpt.pretrain.task import AudioVisualTask, PretrainSettings
from mmpt.scripts.samples.locate import built_samples
from mmpt.training.distributed import World
from mmpt.training.launch import claim, launch
from mmpt.training.run_folder import RunFolder
from mmpt.training.settings import load_settings, to_plain
from mmpt.training.trainer import train
from mmpt.upstream.command import clean_exit
from mmpt.upstream.repository import samples_folder

CONFIGS = Path(__file__).resolve().parent / "configs"

EXAMPLES = """\
examples:
  python pretrain/run.py --objective clr                          the sample clips, some minutes on two cores
  python pretrain/run.py --objective mae+clr optim.steps=500 seed=1   settings of the config, changed
  python pretrain/run.py --objective clr --resume                 go on with an interrupted run
  python pretrain/run.py --objective mae --data clips.tsv data.batch_size=64 --out runs/pretrain/mine
  torchrun --nproc-per-node 8 pretrain/run.py --objective clr --data shards --config pretrain/configs/paper.yaml

objectives:
  clr      contrastive: which sound belongs to which picture
  mae      masked reconstruction: 60 % of sound and of picture are hidden and filled in
  mae+clr  both, summed

configs (in pretrain/configs/): paper (the paper's sizes; for --data), small (for one GPU), samples (a laptop).

A manifest (--data) is tab separated with a header: id, video, audio, start_s, duration_s, split (train, dev or test),
set (name of the corpus), group (speaker or action). Files are relative to the manifest's folder; audio may be the video file.
scripts/prepare/{kinetics600,voxceleb2,lrs3}.py write one; scripts/prepare/shards.py makes shards of it, which are read several
times as fast, and whose folder --data takes as well.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--objective",
        choices=sorted(OBJECTIVES),
        help="what to learn from (default: the config's, which is clr unless it says otherwise)",
    )
    p.add_argument(
        "--data",
        type=Path,
        metavar="MANIFEST",
        help="clips to train on, or a folder of shards (default: the sample clips, built if absent)",
    )
    p.add_argument(
        "--config",
        type=Path,
        metavar="YAML",
        help="settings (default: pretrain/configs/paper.yaml with --data, samples.yaml without)",
    )
    p.add_argument(
        "--out",
        type=Path,
        metavar="RUN",
        help="run folder (default: runs/pretrain/OBJECTIVE-samples or -NAME of the manifest's folder)",
    )
    p.add_argument("--resume", action="store_true", help="go on where the run in --out was interrupted")
    p.add_argument(
        "--resume-if-there",
        action="store_true",
        help="--resume where there is a run, else start one (for job queues; --fresh is then ignored)",
    )
    p.add_argument("--fresh", action="store_true", help="delete the run in --out and start again")
    p.add_argument(
        "overrides", nargs="*", metavar="NAME=VALUE", help="settings that override the config's, such as optim.lr=1e-4"
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Runs stage 1; returns the exit status."""
    arguments = parser().parse_intermixed_args(argv)  # settings may stand between options
    launch(run, arguments)
    return 0


def run(arguments: argparse.Namespace, world: World) -> None:
    """One process of a run."""
    folder = RunFolder(arguments.out or default_folder(arguments), writes=world.is_main)
    claim(folder, arguments, world)
    settings = read_settings(arguments, folder)
    manifest = find_manifest(settings, folder, world)
    task = AudioVisualTask(settings, manifest, folder, world)
    world.wait()  # no rank has found fault with its input: only now may --fresh delete anything
    folder.prepare(to_plain(settings), arguments.fresh)
    world.wait()
    task.start()
    train(task, settings, folder, arguments.resume, world)
    if world.is_main:
        print(f"Next: python midtrain/run.py --target-lang it --init {folder.path}")


def default_folder(arguments: argparse.Namespace) -> Path:
    """Where a run without --out goes: by objective and data."""
    objective = load_settings(
        PretrainSettings, arguments.config or default_config(arguments), overrides(arguments)
    ).objective
    name = (
        (arguments.data.resolve() if arguments.data.is_dir() else arguments.data.resolve().parent).name
        if arguments.data
        else "samples"
    )
    return Path("runs/pretrain") / f"{objective}-{name}"


def default_config(arguments: argparse.Namespace) -> Path:
    """The config of a run that names none."""
    return CONFIGS / ("paper.yaml" if arguments.data else "samples.yaml")


def overrides(arguments: argparse.Namespace) -> list[str]:
    """Settings on the command line, --objective among them."""
    return [*arguments.overrides, *([f"objective={arguments.objective}"] if arguments.objective else [])]


def find_manifest(settings: PretrainSettings, folder: RunFolder, world: World) -> Path:
    """The settings' manifest or folder of shards; without one the sample clips', which the main process builds where they are absent."""
    if settings.data.manifest is not None:
        return folder.outside(Path(settings.data.manifest), "--data")
    if world.is_main:
        manifest = built_samples() / "av" / "manifest.tsv"
        print(f"No --data: training on the sample clips in {manifest.parent} (real speech, rendered mouths)")
    world.wait()
    return samples_folder() / "av" / "manifest.tsv"


def read_settings(arguments: argparse.Namespace, folder: RunFolder) -> PretrainSettings:
    """The config's settings under the command line's. A resumed run's own config stands for all that is not given."""
    config = arguments.config or (folder.path / "config.yaml" if arguments.resume else default_config(arguments))
    settings = load_settings(PretrainSettings, config, overrides(arguments))
    if arguments.data:
        settings = dataclasses.replace(
            settings, data=dataclasses.replace(settings.data, manifest=str(arguments.data.absolute()))
        )
    return settings


if __name__ == "__main__":
    sys.exit(main())
