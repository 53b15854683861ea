"""Stage 2: mid-train an encoder on speech translation from English; the result is RUN/encoder.pt."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

try:
    from mmpt.midtrain.settings import MidtrainSettings
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

from mmpt.scripts.samples.locate import built_samples
from mmpt.training.command_line import add_run_options, choose_run_folder
from mmpt.training.run_folder import RunFolder
from mmpt.training.settings import load_settings, to_plain
from mmpt.upstream import threads
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import EncoderConfig
from mmpt.upstream.repository import samples_folder

if TYPE_CHECKING:
    from mmpt.training.distributed import World

CONFIGS = Path(__file__).resolve().parent / "configs"

EXAMPLES = """\
examples:
  python midtrain/run.py --target-lang it --init runs/pretrain/clr-samples     from a stage-1 run, on the samples
  python midtrain/run.py --target-lang it                                      the same from random weights
  python midtrain/run.py --target-lang it --init encoder.pt --freeze-encoder-steps 200 ctc.weight=0.5 optim.lr=1e-3
  python midtrain/run.py --out runs/midtrain/it-samples --resume               continue an interrupted run
  python midtrain/run.py --config runs/midtrain/it-samples/config.yaml --out runs/midtrain/again   repeat a run

  python scripts/prepare/must_c.py --root /corpora/must_c --target-lang de --out data/must_c_de    once, before MuST-C
  torchrun --nproc-per-node 8 midtrain/run.py --target-lang de --data data/must_c_de --init runs/pretrain/mae-lrs3

--data takes a folder made by scripts/prepare/must_c.py, or MuST-C as published: en-xx/data/{train,dev,...}/{wav,txt}.
--init takes a run folder of stage 1, or an encoder.pt (also one made by scripts/import_fairseq.py).
Beside encoder.pt, the run folder holds translations_dev.txt: transcript, reference and translation of each dev segment
at the last validation. `python midtrain/translate.py RUN --split tst-COMMON` scores the test.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--target-lang",
        metavar="XX",
        help="language to translate into: it, de, nl ... (needed unless the config names it)",
    )
    p.add_argument(
        "--init",
        metavar="RUN_OR_ENCODER",
        help="stage-1 run folder, or an encoder.pt, to start from (default: none, random weights)",
    )
    p.add_argument(
        "--data",
        metavar="MUSTC",
        help="a prepared folder, or the one that holds en-xx (default: the sample corpus, built if absent)",
    )
    p.add_argument(
        "--freeze-encoder-steps",
        type=int,
        metavar="N",
        help="train the decoder alone for the first N updates (default: the config's, 0)",
    )
    add_run_options(
        p,
        default_config="midtrain/configs/must_c.yaml with --data, samples.yaml without",
        default_out="runs/midtrain/XX-samples or XX-must_c",
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run stage 2; return the exit status."""
    arguments = parser().parse_intermixed_args(argv)  # settings may stand between options
    folder = choose_run_folder(arguments, default=lambda: default_folder(arguments))
    settings = read_settings(arguments, folder)
    threads.prepare_for_model(encoder_size(settings, folder, arguments.resume))
    # Torch is loaded from here on.
    from mmpt.training.launch import launch

    launch(lambda world: run(settings, folder, arguments, world))
    return 0


def run(settings: MidtrainSettings, folder: RunFolder, arguments: argparse.Namespace, world: "World") -> None:
    """Run one process's part of the training."""
    from mmpt.midtrain import starting_point
    from mmpt.midtrain.memory import report_memory
    from mmpt.midtrain.task import TranslationTask
    from mmpt.training.lengths import resolve
    from mmpt.training.trainer import train
    from mmpt.upstream.mmpt_av.checkpoint import file_hash

    data, prepared = starting_point.read_corpus(corpus_folder(settings, world), settings, world)
    encoder, source = starting_point.starting_encoder(settings, folder, arguments.resume, world)
    vocabularies = starting_point.find_vocabularies(settings, data, prepared, folder, arguments.resume, world)
    parent = (encoder.provenance, file_hash(source)) if source else None
    task = TranslationTask(settings, data, vocabularies, encoder, parent, folder, world)
    world.wait()  # every rank has accepted its input: only now may --fresh delete anything
    settings = resolve(settings, task.updates_per_epoch, prints=world.is_main)
    folder.prepare(to_plain(settings), arguments.fresh)
    if world.is_main:
        starting_point.keep_for_resume(vocabularies, source, folder)
    world.wait()
    task.start()
    if world.is_main:
        report_memory(task.model, settings, data.train.segments, vocabularies, world.size)
    train(task, settings, folder, arguments.resume, world)
    if world.is_main:
        print(f"Translations to look at: {folder.path}/translations_dev.txt")
        print(f"Next: python midtrain/translate.py {folder.path} --split tst-COMMON")
        print(f"      python run_downstream.py -u mmpt_av -k {folder.encoder_file} -d asr")


def encoder_size(settings: MidtrainSettings, folder: RunFolder, resume: bool) -> int:
    """Return about how many parameters the encoder has, by its file or preset."""
    if settings.init == "none":
        return threads.encoder_parameters(EncoderConfig.preset(settings.preset))
    init = Path(settings.init)
    files = [*([folder.path / "init.pt"] if resume else []), init / "encoder.pt", init]
    return threads.checkpoint_parameters(next((file for file in files if file.is_file()), init))


def default_folder(arguments: argparse.Namespace) -> Path:
    """Return the folder of a run without --out."""
    if arguments.target_lang is None:
        raise InputError("--target-lang: into which language? it, de, nl ... (or --out RUN --resume to continue a run)")
    return Path("runs/midtrain") / f"{arguments.target_lang}-{'must_c' if arguments.data else 'samples'}"


def read_settings(arguments: argparse.Namespace, folder: RunFolder) -> MidtrainSettings:
    """Return the config's settings with the command line's in their place. A resumed run starts from its own config."""
    config = arguments.config or CONFIGS / ("must_c.yaml" if arguments.data else "samples.yaml")
    if arguments.resume and not arguments.config:
        config = folder.path / "config.yaml"
    settings = load_settings(MidtrainSettings, config, arguments.overrides)
    if arguments.target_lang:
        settings = replace(settings, target_lang=arguments.target_lang)
    if arguments.init:
        settings = replace(settings, init=absolute(arguments.init))
    if arguments.freeze_encoder_steps is not None:
        settings = replace(settings, freeze_encoder_steps=arguments.freeze_encoder_steps)
    if arguments.data:
        settings = replace(settings, data=replace(settings.data, root=absolute(arguments.data)))
    if settings.target_lang is None:
        raise InputError("--target-lang: into which language? it, de, nl ...")
    return settings


def absolute(path: str) -> str:
    """Return the path as a run folder stores it, valid from everywhere; `none` stays."""
    return path if path == "none" else str(Path(path).absolute())


def corpus_folder(settings: MidtrainSettings, world: "World") -> Path:
    """Return the folder of the corpus; without one, that of the samples, which the main process builds if absent."""
    if settings.data.root is not None:
        return Path(settings.data.root)
    if world.is_main:
        print(f"No --data: training on the sample sentences in {built_samples() / 'must_c'} (real speech)")
    world.wait()
    return samples_folder() / "must_c"


if __name__ == "__main__":
    sys.exit(main())
