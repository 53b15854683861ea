"""Load the translation model of a stage-2 run."""

from dataclasses import dataclass
from pathlib import Path

import torch

from mmpt.midtrain.model import TranslationModel
from mmpt.midtrain.settings import MidtrainSettings
from mmpt.midtrain.vocabulary import Vocabulary, load_vocabulary
from mmpt.training.checkpoints import Checkpoints, average_weights, read_checkpoint
from mmpt.training.device import set_precision
from mmpt.training.run_folder import RunFolder
from mmpt.training.settings import from_plain
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import CheckpointError, Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.checkpoint import check_state


@dataclass
class TrainedModel:
    """A trained translation model."""

    model: TranslationModel  # in evaluation mode
    vocabulary: Vocabulary  # of the translations
    settings: MidtrainSettings
    steps: list[int]  # of the checkpoints whose weights were averaged
    provenance: dict


def load_translation(run: Path, which: str | None, device: torch.device) -> TrainedModel:
    """Load the model of a run.

    Args:
        run: the run folder.
        which: which checkpoint: last, best or average; None: the one of the run's setting `export`.
        device: where to put the model.

    Raises:
        InputError: the folder is not a run of stage 2, or has no checkpoint yet.
        CheckpointError: a checkpoint is damaged or does not fit.
    """
    if not RunFolder(run).is_run():
        raise InputError(f"{run}: is not a run folder; python midtrain/run.py makes one")
    vocabulary_file = run / "vocabulary.model"
    if not vocabulary_file.is_file():
        raise InputError(
            f"{run}: is not a run of stage 2, it has no {vocabulary_file.name}; python midtrain/run.py makes one"
        )
    newest = read_checkpoint(Checkpoints(run).select("last")[0])
    settings = from_plain(MidtrainSettings, newest["settings"])
    files = Checkpoints(run, settings.keep_checkpoints, settings.patience).select(which or settings.export)
    contents = [read_checkpoint(file) for file in files]
    vocabulary = load_vocabulary(vocabulary_file)
    transcript_size = len(newest["model"].get("ctc.bias", ()))
    encoder = Encoder(EncoderConfig.from_dict(newest["encoder_config"]))
    model = TranslationModel(encoder, len(vocabulary), settings.decoder, transcript_size)
    for file, content in zip(files, contents):
        try:
            check_state(file, content["model"], model.state_dict())
        except CheckpointError as error:
            raise InputError(f"{error}; is {vocabulary_file} the one that it was trained with?") from None
    model.load_state_dict(average_weights([content["model"] for content in contents]))
    set_precision(settings, device)
    return TrainedModel(
        model.to(device).eval(),
        vocabulary,
        settings,
        [content["step"] for content in contents],
        contents[-1]["provenance"],
    )
