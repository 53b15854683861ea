"""What a run of stage 2 starts from: the encoder and the vocabularies, of --init, of a preset or of the run itself."""

from dataclasses import replace

import pytest
import torch

from mmpt.midtrain import starting_point
from mmpt.midtrain.settings import MidtrainSettings
from mmpt.midtrain.vocabulary import train_vocabulary
from mmpt.training.run_folder import RunFolder
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder

from helpers import mock_must_c


class Rank:
    """A rank of a run that gathers what the main process sends."""

    size = 1

    def __init__(self, sent=None):
        self.is_main, self.sent = sent is None, sent

    def gather(self, item):
        return [item if self.is_main else self.sent]


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def settings(**changes) -> MidtrainSettings:
    return replace(MidtrainSettings(), target_lang="it", preset="tiny", **changes)


def test_only_the_main_process_prints(folder, tmp_path, capsys):
    torch.manual_seed(1)
    save_encoder(Encoder(EncoderConfig.preset("tiny")), tmp_path / "encoder.pt", {"stages": []})
    for init in ("none", str(tmp_path / "encoder.pt")):
        ours, file = starting_point.starting_encoder(settings(init=init), folder, False, Rank())
        assert capsys.readouterr().out.startswith("No --init" if init == "none" else "Encoder from ")
        theirs, their_file = starting_point.starting_encoder(settings(init=init), folder, False, Rank("sent"))
        assert capsys.readouterr().out == "" and file == their_file == (
            None if init == "none" else tmp_path / "encoder.pt"
        )
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters()))


def test_a_resumed_run_starts_from_its_own_copy(folder, tmp_path):
    folder.path.mkdir()
    save_encoder(Encoder(EncoderConfig.preset("tiny")), folder.path / "init.pt", {"stages": []})
    _, file = starting_point.starting_encoder(settings(init=str(tmp_path / "gone.pt")), folder, True, Rank())
    assert file == folder.path / "init.pt"
    with pytest.raises(InputError, match="gone.pt: no such run or encoder for --init"):
        starting_point.starting_encoder(settings(init=str(tmp_path / "gone.pt")), folder, False, Rank())


def test_vocabularies_are_prepared_or_learned_by_the_main_process(folder, tmp_path, capsys):
    root = mock_must_c.corpus(tmp_path / "must_c")
    chosen = settings()
    chosen = replace(chosen, data=replace(chosen.data, root=str(root), vocabulary_size=40))
    data, prepared = starting_point.read_corpus(root, chosen, Rank())
    assert prepared is None and "must_c en-it, train" in capsys.readouterr().out
    starting_point.read_corpus(root, chosen, Rank("sent"))
    assert capsys.readouterr().out == ""
    learned = starting_point.find_vocabularies(chosen, data, None, folder, False, Rank())
    assert len(learned.target) <= 40 and learned.source is None
    sent = train_vocabulary(["one text for all"] * 5, 25, "data.vocabulary_size")
    of_rank = starting_point.find_vocabularies(chosen, data, None, folder, False, Rank(sent.model))
    assert of_rank.target.model == sent.model
    ready = starting_point.find_vocabularies(chosen, data, sent, folder, False, Rank())
    assert ready.target is sent
    folder.path.mkdir()
    starting_point.keep_for_resume(learned, None, folder)
    resumed = starting_point.find_vocabularies(chosen, data, sent, folder, True, Rank())
    assert resumed.target.model == learned.target.model and not (folder.path / "init.pt").exists()
