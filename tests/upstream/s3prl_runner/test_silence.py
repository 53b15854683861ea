"""The `silence` effect of sox, against what sox itself left of one sound."""

import shutil
import subprocess

import numpy as np
import pytest
import soundfile
import torch

from mmpt.upstream.s3prl_runner.silence import without_silences
from mmpt.upstream.s3prl_runner.sox import apply_effects_file, apply_effects_tensor

EFFECTS = "channels 1 rate 16000 gain -3.0 silence 1 0.1 0.1% -1 0.1 0.1%"  # of S3PRL's speaker verification
AS_LISTS = [["channels", "1"], ["rate", "16000"], ["gain", "-3.0"]]
AS_LISTS += [["silence", "1", "0.1", "0.1%", "-1", "0.1", "0.1%"]]
# Samples and level of noise: sounds and silences longer and shorter than 0.1 s, and levels near the threshold.
SECTIONS = [(900, 0.3), (3000, 0.0002), (1700, 0.2), (1500, 0.0), (800, 0.1), (2500, 0.0012), (5000, 0.1)]
SECTIONS += [(2300, 0.0001), (1590, 0.3), (400, 0.0), (2500, 0.05), (4000, 0.00138), (3000, 0.00145), (2100, 0.0)]
SECTIONS += [(1500, 0.3), (2500, 0.0), (2000, 0.02), (1200, 0.0)]
KEPT_BY_SOX = [(3900, 8219), (10400, 15719), (17700, 29084), (31290, 33109), (35290, 38490)]


def sound() -> np.ndarray:
    """Return the sound of SECTIONS, (samples,) in [-1, 1], as a 16-bit file holds it."""
    generator = np.random.default_rng(5)
    sound = np.concatenate([generator.normal(0, level, samples) for samples, level in SECTIONS])
    return (np.rint(np.clip(sound, -1, 1) * 32767) / 32768).astype(np.float32)


def test_what_sox_14_4_2_kept_is_kept():
    wav = torch.from_numpy(sound())[None]
    found, rate = apply_effects_tensor(wav, 16000, AS_LISTS)
    louder = wav[0] * 10 ** (-3 / 20)
    expected = torch.cat([louder[start:end] for start, end in KEPT_BY_SOX])
    assert rate == 16000 and torch.equal(found, expected[None])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sox") is None, reason="needs sox")
@pytest.mark.parametrize("seed", range(3))
def test_any_sound_is_cut_as_by_the_installed_sox(seed, tmp_path):
    generator = np.random.default_rng(seed)
    parts = [generator.normal(0, 10 ** generator.uniform(-4, -0.5), generator.integers(50, 8000)) for _ in range(20)]
    soundfile.write(tmp_path / "in.wav", np.clip(np.concatenate(parts), -1, 1), 16000, subtype="PCM_16")
    command = ["sox", "-D", tmp_path / "in.wav", "-b", "32", tmp_path / "out.wav", *EFFECTS.split()]
    subprocess.run(command, check=True)
    theirs, _ = soundfile.read(tmp_path / "out.wav", dtype="float32")
    ours, _ = apply_effects_file(str(tmp_path / "in.wav"), AS_LISTS)
    np.testing.assert_allclose(ours[0].numpy(), theirs, atol=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 1599, 5000])
def test_silence_alone_leaves_nothing(samples):
    assert len(without_silences(np.zeros(samples, np.float32), 16000, 0.1, 0.1)) == 0


@pytest.mark.parametrize("options", [["1", "0.1", "0.1%"], ["1", "0.1", "0.1%", "1", "0.1", "0.1%"], ["-l", "1"]])
def test_other_options_of_silence_are_refused(options):
    with pytest.raises(NotImplementedError, match="the sox effect 'silence"):
        apply_effects_tensor(torch.zeros(1, 100), 16000, [["silence", *options]])
