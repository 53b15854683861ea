"""Stage 2: mid-trains an encoder on speech translation from English, and leaves RUN/encoder.pt."""

import argparse
import dataclasses
import os
import shutil
import sys
from collections.abc import Callable
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
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import samples_folder

if TYPE_CHECKING:
    from mmpt.midtrain.batches import Vocabularies
    from mmpt.midtrain.task import TrainingData
    from mmpt.midtrain.vocabulary import Vocabulary
    from mmpt.training.distributed import World
    from mmpt.upstream.mmpt_av import Encoder

CONFIGS = Path(__file__).resolve().parent / "configs"

EXAMPLES = """\
examples:
  python midtrain/run.py --target-lang it --init runs/pretrain/clr-samples     from a stage-1 run, on the samples
  python midtrain/run.py --target-lang it                                      the same from random weights
  python midtrain/run.py --target-lang it --init encoder.pt --freeze-encoder-steps 200 ctc.weight=0.5 optim.lr=1e-3
  python midtrain/run.py --out runs/midtrain/it-samples --resume               go on with an interrupted run
  python midtrain/run.py --config runs/midtrain/it-samples/config.yaml --out runs/midtrain/again   repeat one

  python scripts/prepare/must_c.py --root /corpora/must_c --target-lang de --out data/must_c_de     once: checks, vocabulary
  torchrun --nproc-per-node 8 midtrain/run.py --target-lang de --data data/must_c_de --init runs/pretrain/mae-lrs3

--data takes what scripts/prepare/must_c.py made, or MuST-C as published: en-xx/data/{train,dev,...}/{wav,txt}.
--init takes a run folder of stage 1, an encoder.pt, or one that scripts/import_fairseq.py made.
The run folder has, beside encoder.pt, translations_dev.txt: transcript, reference and translation of each dev segment at the last
validation. `python midtrain/translate.py RUN --split tst-COMMON` scores the test.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
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
    # Torch is loaded from here on.
    from mmpt.training.launch import launch

    launch(lambda world: run(settings, folder, arguments, world))
    return 0


def run(settings: MidtrainSettings, folder: RunFolder, arguments: argparse.Namespace, world: "World") -> None:
    """Run one process's part of the training."""
    from mmpt.midtrain.task import TranslationTask
    from mmpt.training.trainer import train
    from mmpt.upstream.mmpt_av.checkpoint import file_hash

    corpus, vocabulary = read_corpus(settings, world)
    encoder, source = starting_encoder(settings, folder, arguments.resume, world)
    vocabularies = find_vocabularies(settings, corpus, vocabulary, folder, arguments.resume, world)
    parent = (encoder.provenance, file_hash(source)) if source else None
    task = TranslationTask(settings, corpus, vocabularies, encoder, parent, folder, world)
    world.wait()  # every rank has accepted its input: only now may --fresh delete anything
    folder.prepare(to_plain(settings), arguments.fresh)
    if world.is_main:
        keep_for_resume(vocabularies, source, folder)
    world.wait()
    task.start()
    train(task, settings, folder, arguments.resume, world)
    if world.is_main:
        print(f"Translations to look at: {folder.path}/translations_dev.txt")
        print(f"Next: python midtrain/translate.py {folder.path} --split tst-COMMON")
        print(f"      python run_downstream.py -u mmpt_av -k {folder.encoder_file} -d asr")


def default_folder(arguments: argparse.Namespace) -> Path:
    """Where a run without --out goes."""
    if arguments.target_lang is None:
        raise InputError(
            "--target-lang: into which language? it, de, nl ... (or --out RUN --resume to go on with a run)"
        )
    return Path("runs/midtrain") / f"{arguments.target_lang}-{'must_c' if arguments.data else 'samples'}"


def read_settings(arguments: argparse.Namespace, folder: RunFolder) -> MidtrainSettings:
    """The config's settings under the command line's. A resumed run's own config stands for all that is not given."""
    config = arguments.config or CONFIGS / ("must_c.yaml" if arguments.data else "samples.yaml")
    if arguments.resume and not arguments.config:
        config = folder.path / "config.yaml"
    settings = load_settings(MidtrainSettings, config, arguments.overrides)
    if arguments.target_lang:
        settings = dataclasses.replace(settings, target_lang=arguments.target_lang)
    if arguments.init:
        settings = dataclasses.replace(settings, init=absolute(arguments.init))
    if arguments.freeze_encoder_steps is not None:
        settings = dataclasses.replace(settings, freeze_encoder_steps=arguments.freeze_encoder_steps)
    if arguments.data:
        settings = dataclasses.replace(settings, data=dataclasses.replace(settings.data, root=absolute(arguments.data)))
    if settings.target_lang is None:
        raise InputError("--target-lang: into which language? it, de, nl ...")
    return settings


def absolute(path: str) -> str:
    """The path as a run folder stores it, valid from everywhere; `none` stays."""
    return path if path == "none" else str(Path(path).absolute())


def corpus_folder(settings: MidtrainSettings, world: "World") -> Path:
    """Where the settings' corpus lies: without one the samples', which the main process builds where they are absent."""
    if settings.data.root is not None:
        return Path(settings.data.root)
    if world.is_main:
        print(f"No --data: training on the sample sentences in {built_samples() / 'must_c'} (real speech, ten minutes)")
    world.wait()
    return samples_folder() / "must_c"


def read_corpus(settings: MidtrainSettings, world: "World") -> "tuple[TrainingData, Vocabulary | None]":
    """Training and dev segments, reported, and the vocabulary that was prepared with them, if there is one of this size."""
    from mmpt.midtrain.corpus import open_corpus
    from mmpt.midtrain.segments import TRAIN
    from mmpt.midtrain.task import TrainingData

    found = open_corpus(corpus_folder(settings, world), settings.target_lang, settings.data.max_frames)
    name = f"{'samples ' if settings.data.root is None else ''}{found.name}"
    train, dev = found.read(TRAIN), found.read("dev")
    for split in (train, dev):
        if world.is_main:
            print(f"{name}, {split.describe()}")
    return TrainingData(name, train, dev), found.vocabulary(settings.data.vocabulary_size)


def starting_encoder(
    settings: MidtrainSettings, folder: RunFolder, resume: bool, world: "World"
) -> "tuple[Encoder, Path | None]":
    """The encoder to mid-train, and its file: the run's own copy when resuming.

    Raises:
        InputError: --init is no checkpoint and no run with one, or is the run that is being started.
        CheckpointError: the checkpoint does not fit.
    """
    import torch

    from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, load_encoder

    if settings.init == "none":
        if world.is_main:
            print("No --init: the encoder starts from random weights")
        torch.manual_seed(settings.seed)
        return Encoder(EncoderConfig.preset(settings.preset)), None
    if resume and (folder.path / "init.pt").is_file():
        return load_encoder(folder.path / "init.pt"), folder.path / "init.pt"
    source = Path(settings.init)
    if not source.exists():
        raise InputError(
            f"{source}: no such run or encoder for --init; `python pretrain/run.py` makes one, --init none starts from random weights"
        )
    folder.require_outside(source, "--init")
    if source.is_dir():
        source = source / "encoder.pt"
        if not source.is_file():
            raise InputError(f"{source.parent}: holds no encoder.pt; is the run finished?")
    encoder = load_encoder(source)
    if world.is_main:
        print(f"Encoder from {source}: {encoder.config.n_layers} layers of width {encoder.config.d_model}")
    return encoder, source


def find_vocabularies(
    settings: MidtrainSettings,
    corpus: "TrainingData",
    prepared: "Vocabulary | None",
    folder: RunFolder,
    resume: bool,
    world: "World",
) -> "Vocabularies":
    """The run's vocabularies: its own when resuming, else the prepared one or one that the main process trains, on training texts alone."""
    from mmpt.midtrain.batches import Vocabularies
    from mmpt.midtrain.ctc import spoken
    from mmpt.midtrain.vocabulary import Vocabulary, load_vocabulary, train_vocabulary

    def find(
        name: str, texts: Callable[[], list[str]], size: int, option: str, ready: "Vocabulary | None" = None
    ) -> "Vocabulary":
        file = folder.path / f"{name}.model"
        if resume and file.is_file():
            return load_vocabulary(file)
        if ready is not None:
            return ready
        model = train_vocabulary(texts(), size, option).model if world.is_main else None
        return Vocabulary(world.gather(model)[0])

    segments = corpus.train.segments
    target = find(
        "vocabulary",
        lambda: [s.target for s in segments],
        settings.data.vocabulary_size,
        "data.vocabulary_size",
        prepared,
    )
    source = None
    if settings.ctc.weight:
        source = find(
            "transcripts",
            lambda: [spoken(s.source) for s in segments],
            settings.ctc.vocabulary_size,
            "ctc.vocabulary_size",
        )
    if world.is_main:
        print(
            f"Vocabulary: {len(target):,} sub-words of the training translations"
            + (f", {len(source):,} of the transcripts" if source else "")
        )
    return Vocabularies(target, source)


def keep_for_resume(vocabularies: "Vocabularies", source: Path | None, folder: RunFolder) -> None:
    """Copies what the run started from into its folder."""
    from mmpt.midtrain.vocabulary import save_vocabulary

    save_vocabulary(vocabularies.target, folder.path / "vocabulary.model")
    if vocabularies.source:
        save_vocabulary(vocabularies.source, folder.path / "transcripts.model")
    kept = folder.path / "init.pt"
    if source not in (None, kept):
        temporary = kept.with_name(f".{kept.name}.{os.getpid()}")
        shutil.copyfile(source, temporary)
        os.replace(temporary, kept)


if __name__ == "__main__":
    sys.exit(main())
