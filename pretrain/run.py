"""Stage 1: pre-trains an audio encoder on audio-visual clips without labels, and leaves RUN/encoder.pt."""

import argparse
import dataclasses
import sys
from pathlib import Path

try:
    import mmpt.upstream.mmpt_av  # noqa: F401
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

from mmpt.pretrain.audiovisual import AudioVisualTask, PretrainSettings
from mmpt.pretrain.engine import train
from mmpt.pretrain.run_folder import RunFolder
from mmpt.pretrain.settings import load_settings, to_plain
from mmpt.upstream.command import clean_exit
from mmpt.upstream.samples import built_samples

CONFIGS = Path(__file__).resolve().parent / "configs"

EXAMPLES = """\
examples:
  python pretrain/run.py --objective clr                          the sample clips, two minutes on two cores
  python pretrain/run.py --objective clr optim.steps=500 seed=1   settings of the config, changed
  python pretrain/run.py --objective clr --resume                 go on with an interrupted run
  python pretrain/run.py --objective clr --data clips.tsv data.batch_size=64 --out runs/pretrain/mine

A manifest (--data) is tab separated with a header: id, video, audio, start_s, duration_s, split (train, dev or test),
set (name of the corpus), group (speaker or action). Files are relative to the manifest's folder; audio may be the video file.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--objective", choices=["clr"], default="clr", help="clr: contrastive, which sound belongs to which picture")
    p.add_argument("--data", type=Path, metavar="MANIFEST", help="clips to train on (default: the sample clips, built if absent)")
    p.add_argument("--config", type=Path, metavar="YAML", help="settings (default: pretrain/configs/paper.yaml with --data, samples.yaml without)")
    p.add_argument("--out", type=Path, metavar="RUN", help="run folder (default: runs/pretrain/OBJECTIVE-samples or -NAME of the manifest's folder)")
    p.add_argument("--resume", action="store_true", help="go on where the run in --out was interrupted")
    p.add_argument("--fresh", action="store_true", help="delete the run in --out and start again")
    p.add_argument("overrides", nargs="*", metavar="NAME=VALUE", help="settings that override the config's, such as optim.lr=1e-4")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Runs stage 1; returns the exit status."""
    arguments = parser().parse_intermixed_args(argv)  # settings may stand between options
    name = arguments.data.resolve().parent.name if arguments.data else "samples"
    folder = RunFolder(arguments.out or Path("runs/pretrain") / f"{arguments.objective}-{name}")
    folder.check(arguments.resume, arguments.fresh)
    settings = read_settings(arguments, folder)
    if settings.data.manifest is None:
        manifest = built_samples() / "av" / "manifest.tsv"
        print(f"No --data: training on the sample clips in {manifest.parent} (real speech, rendered mouths)")
    else:
        manifest = folder.outside(Path(settings.data.manifest), "--data")
    task = AudioVisualTask(settings, manifest, folder)
    folder.prepare(to_plain(settings), arguments.fresh)
    task.start()
    train(task, settings, folder, arguments.resume)
    print(f"Next: python midtrain/run.py --target-lang it --init {folder.path}")
    return 0


def read_settings(arguments: argparse.Namespace, folder: RunFolder) -> PretrainSettings:
    """The config's settings under the command line's. A resumed run's own config stands for all that is not given."""
    config = arguments.config or CONFIGS / ("paper.yaml" if arguments.data else "samples.yaml")
    if arguments.resume and not arguments.config:
        config = folder.path / "config.yaml"
    settings = load_settings(PretrainSettings, config, arguments.overrides)
    settings = dataclasses.replace(settings, objective=arguments.objective)
    if arguments.data:
        settings = dataclasses.replace(settings, data=dataclasses.replace(settings.data, manifest=str(arguments.data.absolute())))
    return settings


if __name__ == "__main__":
    sys.exit(main())
