"""Stage 1: pre-train an audio encoder on audio-visual clips without labels; the result is RUN/encoder.pt."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

try:
    from mmpt.pretrain.settings import OBJECTIVES, PretrainSettings
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

from mmpt.pretrain.manifest import USED_S
from mmpt.scripts.samples.locate import built_samples
from mmpt.training.command_line import add_run_options, choose_run_folder
from mmpt.training.run_folder import RunFolder
from mmpt.training.settings import load_settings, to_plain
from mmpt.upstream import threads
from mmpt.upstream.command import clean_exit
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE, EncoderConfig, state_count
from mmpt.upstream.repository import samples_folder

if TYPE_CHECKING:
    from mmpt.training.distributed import World

CONFIGS = Path(__file__).resolve().parent / "configs"

EXAMPLES = """\
examples:
  python pretrain/run.py --objective clr                          the sample clips, some minutes on two cores
  python pretrain/run.py --objective mae+clr optim.steps=500 seed=1   settings of the config, changed
  python pretrain/run.py --objective clr 'data.sets=[sounds]'     the training clips of some sets alone
  python pretrain/run.py --objective clr --resume                 continue an interrupted run
  python pretrain/run.py --objective mae --data clips.tsv data.batch_size=64 --out runs/pretrain/mine
  torchrun --nproc-per-node 8 pretrain/run.py --objective clr --data shards --config pretrain/configs/paper.yaml

objectives:
  clr      contrastive: which sound belongs to which picture
  mae      masked reconstruction: 60 % of sound and of picture are hidden and filled in
  mae+clr  both, summed

configs (in pretrain/configs/): paper (the paper's sizes; for --data), small (for one GPU), samples (a laptop).

A manifest (--data) is tab separated with a header: id, video, audio, start_s, duration_s, split (train, dev or test),
set (name of the corpus), group (speaker or action). Files are relative to the manifest's folder; audio may be the video
file. scripts/prepare/{kinetics600,voxceleb2,lrs3}.py write one. scripts/prepare/shards.py packs its clips into shards,
which are read several times as fast; --data also takes their folder.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--objective",
        choices=sorted(OBJECTIVES),
        help="what to learn from (default: the config's, clr if it names none)",
    )
    p.add_argument(
        "--data",
        type=Path,
        metavar="MANIFEST",
        help="clips to train on, or a folder of shards (default: the sample clips, built if absent)",
    )
    add_run_options(
        p,
        default_config="pretrain/configs/paper.yaml with --data, samples.yaml without",
        default_out="runs/pretrain/OBJECTIVE-samples or -NAME of the manifest's folder",
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run stage 1; return the exit status."""
    arguments = parser().parse_intermixed_args(argv)  # settings may stand between options
    folder = choose_run_folder(arguments, default=lambda: default_folder(arguments))
    settings = read_settings(arguments, folder)
    threads.prepare_for_model(model_size(settings), batch_states(settings))
    # Torch is loaded from here on.
    from mmpt.training.launch import launch

    launch(lambda world: run(settings, folder, arguments, world))
    return 0


def run(settings: PretrainSettings, folder: RunFolder, arguments: argparse.Namespace, world: "World") -> None:
    """Run one process's part of the training."""
    from mmpt.pretrain.memory import report_memory
    from mmpt.pretrain.task import AudioVisualTask
    from mmpt.training.lengths import resolve
    from mmpt.training.trainer import train

    manifest = find_manifest(settings, folder, world)
    task = AudioVisualTask(settings, manifest, folder, world)
    world.wait()  # every rank has accepted its input: only now may --fresh delete anything
    settings = resolve(settings, task.updates_per_epoch, settings.data.batch_size, prints=world.is_main)
    folder.prepare(to_plain(settings), arguments.fresh)
    world.wait()
    task.start()
    if world.is_main:
        report_memory(task.model, settings, world.size)
    train(task, settings, folder, arguments.resume, world)
    if world.is_main:
        print(f"Next: python midtrain/run.py --target-lang it --init {folder.path}")


def model_size(settings: PretrainSettings) -> int:
    """Return about how many parameters both towers have."""
    audio = threads.encoder_parameters(EncoderConfig.preset(settings.preset))
    return audio + threads.transformer_parameters(settings.video.d_model, settings.video.n_layers)


def batch_states(settings: PretrainSettings) -> int:
    """Return the hidden states of both towers in a micro-batch of clips of full length."""
    clips = settings.data.batch_size // settings.optim.accumulate
    return clips * (state_count(round(USED_S * SAMPLE_RATE)) + settings.video.tokens)


def default_folder(arguments: argparse.Namespace) -> Path:
    """Return the folder of a run without --out: by objective and data."""
    config = arguments.config or default_config(arguments)
    objective = load_settings(PretrainSettings, config, overrides(arguments)).objective
    if not arguments.data:
        return Path("runs/pretrain") / f"{objective}-samples"
    data = arguments.data.resolve()
    return Path("runs/pretrain") / f"{objective}-{data.name if data.is_dir() else data.parent.name}"


def default_config(arguments: argparse.Namespace) -> Path:
    """Return the config of a run that names none."""
    return CONFIGS / ("paper.yaml" if arguments.data else "samples.yaml")


def overrides(arguments: argparse.Namespace) -> list[str]:
    """Return the settings on the command line, --objective among them."""
    return [*arguments.overrides, *([f"objective={arguments.objective}"] if arguments.objective else [])]


def read_settings(arguments: argparse.Namespace, folder: RunFolder) -> PretrainSettings:
    """Return the config's settings with the command line's in their place. A resumed run starts from its own config."""
    config = arguments.config or (folder.path / "config.yaml" if arguments.resume else default_config(arguments))
    settings = load_settings(PretrainSettings, config, overrides(arguments))
    if arguments.data:
        settings = dataclasses.replace(
            settings, data=dataclasses.replace(settings.data, manifest=str(arguments.data.absolute()))
        )
    return settings


def find_manifest(settings: PretrainSettings, folder: RunFolder, world: "World") -> Path:
    """Return the manifest or folder of shards; without one, that of the sample clips, which the main process builds."""
    if settings.data.manifest is not None:
        return folder.require_outside(Path(settings.data.manifest), "--data")
    if world.is_main:
        manifest = built_samples() / "av" / "manifest.tsv"
        print(f"No --data: training on the sample clips in {manifest.parent} (real speech, rendered mouths)")
    world.wait()
    return samples_folder() / "av" / "manifest.tsv"


if __name__ == "__main__":
    sys.exit(main())
