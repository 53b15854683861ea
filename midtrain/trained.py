"""A translation model out of a stage-2 run."""

from dataclasses import dataclass
from pathlib import Path

import torch

from mmpt.midtrain.model import TranslationModel
from mmpt.midtrain.settings import MidtrainSettings
from mmpt.midtrain.vocabulary import Vocabulary, load_vocabulary
from mmpt.training.run_folder import RunFolder, average, read_training
from mmpt.training.settings import fill
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import CheckpointError, Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.checkpoint import check_state


@dataclass
class Trained:
    """model: in evaluation mode; vocabulary: of the translations; steps: after which the averaged weights were saved."""

    model: TranslationModel
    vocabulary: Vocabulary
    settings: MidtrainSettings
    steps: list[int]
    provenance: dict


def load_translation(run: Path, which: str | None, device: torch.device) -> Trained:
    """The model of a run.

    Args:
        which: of its checkpoints: last, best or average; None: what the run exports its encoder by.

    Raises:
        InputError: the folder is no run of stage 2, or not trained yet.
        CheckpointError: a checkpoint is damaged or does not fit.
    """
    folder = RunFolder(run)
    if not folder.is_run():
        raise InputError(f"{run}: is not a run folder; python midtrain/run.py makes one")
    vocabulary_file = run / "vocabulary.model"
    if not vocabulary_file.is_file():
        raise InputError(
            f"{run}: is not a run of stage 2, it has no {vocabulary_file.name}; python midtrain/run.py makes one"
        )
    newest = read_training(folder.which("last", keep=1)[0])
    settings = fill(MidtrainSettings, newest["settings"], "")
    files = folder.which(which or settings.export, settings.keep_checkpoints)
    contents = [read_training(file) for file in files]
    vocabulary = load_vocabulary(vocabulary_file)
    transcript_size = len(newest["model"].get("ctc.bias", ()))
    encoder = Encoder(EncoderConfig.from_dict(newest["encoder_config"]))
    model = TranslationModel(encoder, len(vocabulary), settings.decoder, transcript_size)
    for file, content in zip(files, contents):
        try:
            check_state(file, content["model"], model.state_dict())
        except CheckpointError as error:
            raise InputError(f"{error}; is {vocabulary_file} the one that it was trained with?") from None
    model.load_state_dict(average([content["model"] for content in contents]))
    return Trained(
        model.to(device).eval(),
        vocabulary,
        settings,
        [content["step"] for content in contents],
        contents[-1]["provenance"],
    )
