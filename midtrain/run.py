"""Stage 2: mid-trains an encoder on speech translation from English, and leaves RUN/encoder.pt."""

import argparse
import dataclasses
import os
import shutil
import sys
from functools import partial
from pathlib import Path

try:
    import torch

    import mmpt.upstream.mmpt_av  # noqa: F401
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

from mmpt.midtrain.must_c import TRAIN, language_folder, read_split
from mmpt.midtrain.translation import Corpus, MidtrainSettings, TranslationTask
from mmpt.midtrain.vocabulary import Vocabulary, load_vocabulary, save_vocabulary, train_vocabulary
from mmpt.pretrain.distributed import World
from mmpt.pretrain.engine import held_out, train
from mmpt.pretrain.run_folder import RunFolder
from mmpt.pretrain.settings import load_settings, to_plain
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, load_encoder
from mmpt.upstream.mmpt_av.checkpoint import file_hash
from mmpt.upstream.samples import built_samples

CONFIGS = Path(__file__).resolve().parent / "configs"
TEST = "tst-COMMON"

EXAMPLES = """\
examples:
  python midtrain/run.py --target-lang it --init runs/pretrain/clr-samples     from a stage-1 run, on the samples
  python midtrain/run.py --target-lang it                                      the same from random weights
  python midtrain/run.py --target-lang de --data /corpora/must_c --init encoder.pt --out runs/midtrain/de-mine
  python midtrain/run.py --target-lang it --init encoder.pt optim.steps=200 seed=1   settings of the config, changed
  python midtrain/run.py --out runs/midtrain/it-samples --resume               go on with an interrupted run
  python midtrain/run.py --config runs/midtrain/it-samples/config.yaml --out runs/midtrain/again   repeat one

--data holds MuST-C as published: en-xx/data/{train,dev,tst-COMMON}/{wav,txt}. The run folder has, beside encoder.pt,
translations_dev.txt: transcript, reference and translation of each dev segment at the last validation.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--target-lang", metavar="XX", help="language to translate into: it, de, nl ... (needed unless the config names it)")
    p.add_argument("--init", metavar="RUN_OR_ENCODER", help="stage-1 run folder, or an encoder.pt, to start from (default: none, random weights)")
    p.add_argument("--data", metavar="MUSTC", help="folder that holds en-xx (default: the sample corpus, built if absent)")
    p.add_argument("--config", type=Path, metavar="YAML", help="settings (default: midtrain/configs/must_c.yaml with --data, samples.yaml without)")
    p.add_argument("--out", type=Path, metavar="RUN", help="run folder (default: runs/midtrain/XX-samples or XX-must_c)")
    p.add_argument("--resume", action="store_true", help="go on where the run in --out was interrupted, with that run's settings")
    p.add_argument("--fresh", action="store_true", help="delete the run in --out and start again")
    p.add_argument("overrides", nargs="*", metavar="NAME=VALUE", help="settings that override the config's, such as optim.lr=1e-4")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Runs stage 2; returns the exit status."""
    arguments = parser().parse_intermixed_args(argv)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise InputError("stage 2 trains in one process in this version: start it without torchrun")
    folder = RunFolder(arguments.out or default_folder(arguments))
    folder.check(arguments.resume, arguments.fresh)
    settings = read_settings(arguments, folder)
    corpus = read_corpus(settings)
    encoder, source = starting_encoder(settings, folder, arguments.resume)
    vocabulary = find_vocabulary(settings, corpus, folder, arguments.resume)
    folder.prepare(to_plain(settings), arguments.fresh)
    save_vocabulary(vocabulary, folder.path / "vocabulary.model")
    parent = (encoder.provenance, keep_parent(source, folder)) if source else None
    task = TranslationTask(settings, corpus, vocabulary, encoder, parent, folder)
    train(task, settings, folder, arguments.resume, World())
    if corpus.test:
        figures = held_out(partial(task.evaluate, corpus.test, settings.optim.steps), task.model, settings)
        folder.log(settings.optim.steps, TEST, figures)
        folder.board.close()
        print(f"{TEST}, last weights, greedy: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    print(f"Translations to look at: {folder.path}/translations_*.txt")
    print(f"Next: python run_downstream.py -u mmpt_av -k {folder.encoder_file} -d asr")
    return 0


def default_folder(arguments: argparse.Namespace) -> Path:
    """Where a run without --out goes."""
    if arguments.target_lang is None:
        raise InputError("--target-lang: into which language? it, de, nl ... (or --out RUN --resume to go on with a run)")
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
    if arguments.data:
        settings = dataclasses.replace(settings, data=dataclasses.replace(settings.data, root=absolute(arguments.data)))
    if settings.target_lang is None:
        raise InputError("--target-lang: into which language? it, de, nl ...")
    return settings


def absolute(path: str) -> str:
    """The path as a run folder stores it, valid from everywhere; `none` stays."""
    return path if path == "none" else str(Path(path).absolute())


def read_corpus(settings: MidtrainSettings) -> Corpus:
    """The splits of the settings' corpus and language, reported."""
    language, root, name = settings.target_lang, settings.data.root, f"must_c en-{settings.target_lang}"
    if root is None:
        root, name = built_samples() / "must_c", f"samples {name} (real speech, tiny)"
        print(f"No --data: training on the sample sentences in {root} (real speech, ten minutes)")
    root = Path(root)
    there = [split for split in (TRAIN, "dev", TEST) if split != TEST or (language_folder(root, language) / "data" / TEST).is_dir()]
    splits = [read_split(root, language, split, settings.data.max_frames) for split in there]
    for split in splits:
        print(f"{name}, {split.describe()}")
    return Corpus(name, splits[0], splits[1], splits[2] if len(splits) > 2 else None)


def starting_encoder(settings: MidtrainSettings, folder: RunFolder, resume: bool) -> tuple[Encoder, Path | None]:
    """The encoder to mid-train, and its file: the run's own copy when resuming.

    Raises:
        InputError: --init is no checkpoint and no run with one, or is the run that is being started.
        CheckpointError: the checkpoint does not fit.
    """
    if settings.init == "none":
        print("No --init: the encoder starts from random weights")
        torch.manual_seed(settings.seed)
        return Encoder(EncoderConfig.preset(settings.preset)), None
    if resume and (folder.path / "init.pt").is_file():
        return load_encoder(folder.path / "init.pt"), folder.path / "init.pt"
    source = Path(settings.init)
    if not source.exists():
        raise InputError(f"{source}: no such run or encoder for --init; `python pretrain/run.py` makes one, --init none starts from random weights")
    folder.outside(source, "--init")
    if source.is_dir():
        source = source / "encoder.pt"
        if not source.is_file():
            raise InputError(f"{source.parent}: holds no encoder.pt; is the run finished?")
    encoder = load_encoder(source)
    print(f"Encoder from {source}: {encoder.config.n_layers} layers of width {encoder.config.d_model}")
    return encoder, source


def find_vocabulary(settings: MidtrainSettings, corpus: Corpus, folder: RunFolder, resume: bool) -> Vocabulary:
    """The run's vocabulary: its own when resuming, else one trained on the training split's translations."""
    file = folder.path / "vocabulary.model"
    if resume and file.is_file():
        return load_vocabulary(file)
    vocabulary = train_vocabulary([segment.target for segment in corpus.train.segments], settings.data.vocabulary_size)
    print(f"Vocabulary: {len(vocabulary):,} sub-words, trained on the training translations")
    return vocabulary


def keep_parent(source: Path, folder: RunFolder) -> str:
    """Copies the starting encoder into the run, so that the run can be resumed without it, and returns its hash."""
    kept = folder.path / "init.pt"
    if source != kept:
        temporary = kept.with_name(f".{kept.name}.{os.getpid()}")
        shutil.copyfile(source, temporary)
        os.replace(temporary, kept)
    return file_hash(kept)


if __name__ == "__main__":
    sys.exit(main())
