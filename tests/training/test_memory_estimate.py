"""The memory of an update, estimated before it, against the tensors that autograd saves."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmpt.midtrain import memory as midtrain
from mmpt.midtrain.batches import Vocabularies
from mmpt.midtrain.memory import Sizes, memory_of_segments
from mmpt.midtrain.model import TranslationModel
from mmpt.midtrain.segments import Segment
from mmpt.midtrain.settings import DataSettings, MidtrainSettings
from mmpt.pretrain import memory as pretrain
from mmpt.pretrain.memory import memory_of_clips
from mmpt.pretrain.model import AudioVisualModel
from mmpt.pretrain.settings import MaskedSettings, PretrainSettings, VideoSettings
from mmpt.training import memory_estimate
from mmpt.training.memory_estimate import Memory
from mmpt.training.memory_report import memory_lines, print_memory
from mmpt.training.settings import OptimSettings
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.recompute import checkpoint_blocks

CONFIG = replace(EncoderConfig.preset("base"), n_layers=3)
VIDEO = VideoSettings(size=112, n_layers=3)
SETTINGS = {
    objective: PretrainSettings(objective=objective, video=VIDEO, masked=MaskedSettings(decoder_layers=2))
    for objective in ("clr", "mae", "mae+clr")
}


def count_stage1(objective: str, clips: int, bfloat16: bool = True) -> Memory:
    model = AudioVisualModel(SETTINGS[objective], Encoder(CONFIG))
    return memory_of_clips(model, SETTINGS[objective], clips, bfloat16)


def count_stage2(seconds: list[float], bfloat16: bool = True) -> Memory:
    settings = MidtrainSettings()
    model = TranslationModel(Encoder(CONFIG), 3000, settings.decoder, transcript_size=500)
    segments = [Sizes(round(16_000 * one), max(2, round(5 * one))) for one in seconds]
    return memory_of_segments(model, settings, segments, bfloat16)


@pytest.fixture
def saved(monkeypatch):
    """The bytes of the tensors that autograd saves in the next count, each storage once, without weights and inputs."""
    found: dict[str, int] = {}
    functional_call = memory_estimate.functional_call
    count = memory_estimate.count_memory

    def noted(model, blocks, bfloat16, inputs, loss):
        storages: dict[int, torch.UntypedStorage] = {}

        def note(tensor: Tensor) -> Tensor:
            if tensor.device.type == "cuda":
                storages[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
            return tensor

        given: list[int] = []

        def calling(model, state, arguments):
            tensors = [*state.values(), *(one for one in arguments if isinstance(one, Tensor))]
            given.extend(tensor.untyped_storage()._cdata for tensor in tensors)
            return functional_call(model, state, arguments)

        monkeypatch.setattr(memory_estimate, "functional_call", calling)

        def with_hooks(call, batch):
            if "checkpointing" in found:
                checkpoint_blocks(model, on=True)
            with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
                result = loss(call, batch)
            found["bytes"] = sum(one.nbytes() for key, one in storages.items() if key not in given)
            return result

        return count(model, blocks, bfloat16, inputs, with_hooks)

    for module in ("mmpt.pretrain.memory", "mmpt.midtrain.memory"):
        monkeypatch.setattr(f"{module}.count_memory", noted)
    return found


@pytest.mark.parametrize("bfloat16", [True, False])
@pytest.mark.parametrize("objective", SETTINGS)
def test_stage_1_is_what_autograd_saves(saved, objective, bfloat16):
    memory = count_stage1(objective, 6, bfloat16)
    assert memory.saved == pytest.approx(saved["bytes"], rel=0.1)
    assert memory.saved_checkpointed < 0.5 * memory.saved


@pytest.mark.parametrize("bfloat16", [True, False])
def test_stage_2_is_what_autograd_saves(saved, bfloat16):
    memory = count_stage2([3.0, 10.0, 6.5, 1.2], bfloat16)
    assert memory.saved == pytest.approx(saved["bytes"], rel=0.1)
    assert memory.saved_checkpointed < 0.5 * memory.saved


@pytest.mark.parametrize("count", [lambda: count_stage1("mae+clr", 6), lambda: count_stage2([3.0, 10.0, 6.5])])
def test_checkpointing_leaves_what_was_foretold(saved, count):
    foretold = count().saved_checkpointed
    saved["checkpointing"] = True
    assert count().saved == pytest.approx(foretold, rel=0.02)


def test_checkpointing_keeps_the_copies_of_weights():
    memory, single = count_stage1("clr", 2), count_stage1("clr", 2, bfloat16=False)
    model = AudioVisualModel(SETTINGS["clr"], Encoder(CONFIG))
    blocks = [*model.encoder.blocks, *model.video_encoder.blocks]
    weights = sum(p.numel() for block in blocks for p in block.parameters())
    assert memory.copies == pytest.approx(2 * weights, rel=0.05) and single.copies == 0  # norms have none
    assert memory.total(True) - replace(memory, copies=0).total(True) == memory.copies
    assert memory.total(False) == replace(memory, copies=0).total(False)


def test_memory_grows_with_the_clips_alone():
    few, more, many = (count_stage1("mae", clips) for clips in (4, 12, 20))
    assert many.weights == few.weights == pytest.approx(16 * parameters(), rel=0.01)
    assert many.saved - more.saved == pytest.approx(more.saved - few.saved, rel=0.01)


def parameters() -> int:
    return sum(p.numel() for p in AudioVisualModel(SETTINGS["mae"], Encoder(CONFIG)).parameters())


def test_the_model_stays_as_it_is():
    model = AudioVisualModel(SETTINGS["clr"], Encoder(CONFIG)).eval()
    checkpoint_blocks(model, on=True)
    before, state = {name: p.clone() for name, p in model.named_parameters()}, torch.get_rng_state()
    memory_of_clips(model, SETTINGS["clr"], 2, bfloat16=True)
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module.training for module in model.modules()) and model.encoder.checkpointing
    assert all(type(p) is torch.nn.Parameter and torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert not torch.is_autocast_enabled("cuda")


def like_paper(parts: int) -> Memory:
    return Memory(
        weights=10,
        inputs=0,
        saved=800 // parts,
        saved_checkpointed=80 // parts,
        copies=0,
        block=40 // parts,
        largest=0,
    )


@pytest.mark.parametrize(
    "free, given, advice",
    [
        (1000, {}, None),
        (500, {}, "set optim.checkpoint_blocks=true or optim.accumulate=2"),
        (500, {"checkpoint_blocks": True}, None),
        (130, {"checkpoint_blocks": True}, "set optim.accumulate=2"),
        (130, {}, "set optim.checkpoint_blocks=true optim.accumulate=2 or optim.accumulate=8"),
        (500, {"accumulate": 2}, None),
        (100, {"accumulate": 2}, "set optim.checkpoint_blocks=true or optim.accumulate=16"),
        (50, {}, "set optim.checkpoint_blocks=true optim.accumulate=4"),
        (10, {}, "take more GPUs or smaller batches"),
    ],
)
def test_a_run_that_does_not_fit_is_told_what_to_change(free, given, advice):
    lines = list(memory_lines(like_paper, [1, 2, 4, 8, 16], OptimSettings(**given), free))
    assert lines[0].startswith("Memory: an update takes about")
    assert [line.rpartition("; ")[2] for line in lines[1:]] == ([advice] if advice else [])


class Letters:
    """A vocabulary of letters."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


def test_runs_are_told_how_many_parts_fit(monkeypatch):
    """Stage 1 counts clips of full length, stage 2 the batch with most text."""
    told: list[list[str]] = []

    def note(count, choices, settings, device):
        told.append(list(memory_lines(count, choices, settings, free=1_500_000_000)))

    monkeypatch.setattr("mmpt.pretrain.memory.print_memory", note)
    monkeypatch.setattr("mmpt.midtrain.memory.print_memory", note)
    settings = replace(SETTINGS["mae+clr"], precision="bfloat16")
    pretrain.report_memory(AudioVisualModel(settings, Encoder(CONFIG)), settings, processes=2)
    settings = MidtrainSettings(data=DataSettings(batch_frames=80_000), precision="bfloat16")
    segments = [Segment(f"{n}", Path("x"), 0, 16_000 * (3 + n % 9), "", "ab " * (5 + n % 7)) for n in range(400)]
    model = TranslationModel(Encoder(CONFIG), 3000, settings.decoder)
    midtrain.report_memory(model, settings, segments, Vocabularies(Letters()), processes=1)
    for lines in told:
        assert len(lines) == 2 and "optim.checkpoint_blocks=true" in lines[1] and "optim.accumulate=" in lines[1]


@pytest.mark.parametrize("message, reason", [("first\nsecond", "first"), ("", "no reason given")])
def test_a_run_does_not_end_because_there_is_no_estimate(message, reason, monkeypatch, capsys):
    def fail(parts: int) -> Memory:
        raise AssertionError(message)

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**9, 10**9))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    print_memory(fail, [1, 2], OptimSettings(), torch.device("cuda"))
    assert capsys.readouterr().out == f"Memory: no estimate (AssertionError: {reason})\n"


def test_a_processor_is_told_nothing(capsys):
    print_memory(like_paper, [1, 2], OptimSettings(), torch.device("cpu"))
    assert capsys.readouterr().out == ""
