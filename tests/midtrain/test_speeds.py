"""Speed perturbation: pitch and length change together, and a segment's speed depends on its name and epoch alone."""

import soundfile
import torch

from mmpt.midtrain.batches import BatchDataset, Vocabularies
from mmpt.midtrain.segments import Segment
from mmpt.midtrain.speeds import Speeds

RATE = 16000


def tone(hertz: float) -> torch.Tensor:
    return torch.sin(2 * torch.pi * hertz * torch.arange(2 * RATE) / RATE)


def pitch(wav: torch.Tensor) -> float:
    return float(torch.fft.rfft(wav).abs().argmax()) * RATE / len(wav)


def test_faster_speech_is_shorter_and_higher():
    for speed in (0.9, 1.1):
        changed = Speeds((speed,), 0, 0).change(tone(440), "a")
        assert abs(len(changed) - 2 * RATE / speed) <= 1 and abs(pitch(changed) - 440 * speed) < 1
        assert 0.9 < changed.abs().max() < 1.1
    assert torch.equal(Speeds((1.0,), 0, 0).change(tone(440), "a"), tone(440))


def test_the_draw_depends_on_seed_epoch_and_name_alone():
    names = [f"ted_{number}" for number in range(40)]

    def lengths(seed, epoch):
        return [len(Speeds((0.9, 1.0, 1.1), seed, epoch).change(tone(100), name)) for name in names]

    assert lengths(0, 0) == lengths(0, 0)
    assert set(lengths(0, 0)) == {29091, 32000, 35556}
    assert lengths(0, 0) != lengths(0, 1) and lengths(0, 0) != lengths(1, 0)


def test_batches_have_the_changed_lengths(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(440).numpy(), RATE)
    segment = Segment("a_0", tmp_path / "a.wav", 0, 2 * RATE, "a", "a")

    class Letters:
        def encode(self, text):
            return [5]

    batch = BatchDataset([[segment]], Vocabularies(Letters()), speeds=Speeds((1.1,), 0, 0))[0]
    assert batch.segments[0].samples == 29091 and len(batch.joined) >= 29091
    assert batch.frames < segment.frames
