"""What a run of stage 2 starts from: corpus, encoder and vocabularies. A resumed run uses its own copies."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from mmpt.midtrain.batches import Vocabularies
from mmpt.midtrain.corpus import open_corpus
from mmpt.midtrain.ctc import spoken
from mmpt.midtrain.segments import TRAIN
from mmpt.midtrain.settings import MidtrainSettings
from mmpt.midtrain.task import TrainingData
from mmpt.midtrain.vocabulary import Vocabulary, load_vocabulary, save_vocabulary, train_vocabulary
from mmpt.training.distributed import World
from mmpt.training.run_folder import RunFolder
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import replacing
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, load_encoder


def read_corpus(folder: Path, settings: MidtrainSettings, world: World) -> tuple[TrainingData, Vocabulary | None]:
    """Read and report the training and dev segments.

    Returns:
        The segments; and the vocabulary that was prepared with them, if there is one of the settings' size.
    """
    corpus = open_corpus(folder, settings.language, settings.data.max_frames)
    train, dev = corpus.read(TRAIN), corpus.read("dev")
    for split in (train, dev):
        if world.is_main:
            print(f"{corpus.name}, {split.describe()}")
    return TrainingData(corpus.name, train, dev), corpus.vocabulary(settings.data.vocabulary_size)


def starting_encoder(
    settings: MidtrainSettings, folder: RunFolder, resume: bool, world: World
) -> tuple[Encoder, Path | None]:
    """Return the encoder to mid-train, and its file if it has one.

    Raises:
        InputError: --init is no checkpoint and no run with one, or it lies in the run that is to start.
        CheckpointError: the checkpoint is damaged or does not fit.
    """
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
            f"{source}: no such run or encoder for --init; `python pretrain/run.py` makes one, "
            "--init none starts from random weights"
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
    data: TrainingData,
    prepared: Vocabulary | None,
    folder: RunFolder,
    resume: bool,
    world: World,
) -> Vocabularies:
    """Return the run's vocabularies: its own copies when it resumes, else the prepared one or newly learned ones.

    The main process learns them, from training texts alone.
    """

    def find(
        name: str, texts: Callable[[], list[str]], size: int, option: str, ready: Vocabulary | None = None
    ) -> Vocabulary:
        file = folder.path / f"{name}.model"
        if resume and file.is_file():
            return load_vocabulary(file)
        if ready is not None:
            return ready
        model = train_vocabulary(texts(), size, option).model if world.is_main else None
        return Vocabulary(world.gather(model)[0])

    segments, sizes = data.train.segments, (settings.data.vocabulary_size, settings.ctc.vocabulary_size)
    target = find("vocabulary", lambda: [s.target for s in segments], sizes[0], "data.vocabulary_size", prepared)
    source = None
    if settings.ctc.weight:
        source = find("transcripts", lambda: [spoken(s.source) for s in segments], sizes[1], "ctc.vocabulary_size")
    if world.is_main:
        print(
            f"Vocabulary: {len(target):,} sub-words of the training translations"
            + (f", {len(source):,} of the transcripts" if source else "")
        )
    return Vocabularies(target, source)


def keep_for_resume(vocabularies: Vocabularies, source: Path | None, folder: RunFolder) -> None:
    """Copy the encoder (`source`) and the vocabularies that the run starts from into its folder."""
    save_vocabulary(vocabularies.target, folder.path / "vocabulary.model")
    if vocabularies.source:
        save_vocabulary(vocabularies.source, folder.path / "transcripts.model")
    kept = folder.path / "init.pt"
    if source is not None and source != kept:
        with replacing(kept) as temporary:
            shutil.copyfile(source, temporary)
