"""The benchmark of kept states runs, on the samples and an encoder that is too small to mean anything."""

import re
import subprocess
import sys

import torch

from mmpt.scripts.benchmark.state_runners import Instant
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.repository import REPOSITORY


@torch.no_grad()
def test_the_instant_encoder_gives_the_encoders_shapes():
    config, wavs = EncoderConfig.preset("tiny"), [torch.zeros(16000), torch.zeros(8100)]
    ours, instant = Encoder(config).eval(), Instant(config)
    states = instant(wavs)["hidden_states"]
    assert [state.shape for state in states] == [state.shape for state in ours(wavs).hidden_states]
    assert instant.get_downsample_rates("hidden_states") == config.frame_hop


def test_contenders_are_timed_on_keywords(built_samples, tmp_path):
    command = [sys.executable, str(REPOSITORY / "scripts" / "benchmark" / "kept_states.py"), "--tasks", "ks"]
    command += ["--preset", "tiny", "--data-root", str(built_samples), "--batch", "quick", "--steps", "1"]
    command += ["--rounds", "1", "--threads", "1", "--device", "cpu"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-800:]
    for contender in ("computed", "kept", "instant"):
        assert re.search(rf"^  {contender} +[\d.e-]+ \([\d.e-]+ to [\d.e-]+\) s a step$", result.stdout, re.MULTILINE)
    (read, computed) = re.search(r"([\d,]+) utterances read, ([\d,]+) computed", result.stdout).groups()
    assert int(read) > 0 and int(computed) > 0  # the first round filled the cache, the second read it
    assert "the most that a cache could gain" in result.stdout
