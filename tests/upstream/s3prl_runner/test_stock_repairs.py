"""The repairs: S3PRL's lines fail on the installed libraries before `apply()`, and work after it."""

import argparse
import builtins
import importlib
import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from mmpt.upstream.s3prl_runner import repairs, sox

from helpers.forked_python import REAL_PYTHON

# Repair → the code of S3PRL at the line that the repair serves.
STOCK_LINES = {
    "repair_torchaudio_import": "import torchaudio",
    "repair_missing_packages": "import editdistance; from catalyst.data.sampler import DistributedSamplerWrapper",
    "repair_audio_backend": "import torchaudio; torchaudio.set_audio_backend('sox_io')",
    "repair_sox_effects": "from torchaudio.sox_effects import apply_effects_file as f; f({wav!r}, [['gain', '-3.0']])",
    "repair_load": "import torchaudio; torchaudio.load({wav!r})",
    "repair_hub_names": "from huggingface_hub import HfApi, HfFolder, Repository",
    "repair_checkpoint_loading": "import torch; torch.load({ckpt!r}, map_location='cpu')",
}

TRY_THEM = """
import json, sys
from mmpt.upstream.s3prl_runner import repairs
lines = json.loads(sys.argv[1])

def failing():
    found = []
    for name, line in lines.items():
        try:
            exec(line, {})
        except Exception:
            found.append(name)
    return found

before = failing()
alone = []
for name in before:
    getattr(repairs, name)()
    alone += [name] if name in failing() else []
repairs.apply()
repairs.apply()
print(json.dumps([before, alone, failing()]))
"""


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([REAL_PYTHON, "-c", code, *arguments], capture_output=True, text=True, timeout=60)


def write_noise(file, rate=16000, channels=1, seconds=0.25):
    """Write noise as floats; return it as (channels, samples)."""
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, (int(rate * seconds), channels)).astype(np.float32)
    soundfile.write(file, samples, rate, subtype="FLOAT")
    return torch.from_numpy(samples).t()


@pytest.mark.slow
def test_each_repair_mends_its_stock_line(tmp_path):
    wav, ckpt = str(tmp_path / "a.wav"), str(tmp_path / "states-1.ckpt")
    write_noise(wav)
    torch.save({"Args": argparse.Namespace(seed=1), "Config": {"runner": {}}}, ckpt)
    lines = {name: line.format(wav=wav, ckpt=ckpt) for name, line in STOCK_LINES.items()}
    result = run_python(TRY_THEM, json.dumps(lines))
    assert result.returncode == 0, result.stderr
    before, still_after_its_own_repair, after_apply = json.loads(result.stdout.splitlines()[-1])
    assert "repair_checkpoint_loading" in before  # torch 2.6 and later
    if importlib.util.find_spec("catalyst") is None:
        assert "repair_missing_packages" in before
    if not hasattr(torchaudio, "list_audio_backends"):  # torchaudio 2.9 and later
        assert {"repair_audio_backend", "repair_sox_effects"} <= set(before)
    assert still_after_its_own_repair == [] and after_apply == []


OTHER_TORCH = """
import json, sys, torch
from mmpt.upstream.s3prl_runner import repairs
how = sys.argv[1]
if how == "CUDA":
    torch.version.cuda = "14.9"
else:
    load = torch.ops.load_library
    def load_library(path):
        if path.name.startswith("libtorchaudio"):  # the second that torchaudio loads
            raise OSError(f"{path}: libc10_cuda.so: cannot open shared object file")
        load(path)
    torch.ops.load_library = load_library
try:
    import torchaudio
except (OSError, RuntimeError) as error:
    print(error, file=sys.stderr)
repairs.repair_torchaudio_import()
from torchaudio import _extension, compliance, functional
wav = torch.sin(torch.arange(400.0))[None]
filtered = functional.highpass_biquad(wav, 16000, 300.0).sum().item()
try:
    functional.forced_align(torch.zeros(1, 3, 2).log_softmax(-1), torch.tensor([[1]]))
    aligned = True
except RuntimeError:
    aligned = False
print(json.dumps([_extension._IS_TORCHAUDIO_EXT_AVAILABLE, aligned, filtered, *compliance.kaldi.fbank(wav).shape]))
"""


@pytest.mark.slow
@pytest.mark.skipif(hasattr(torchaudio, "list_audio_backends"), reason="torchaudio 2.8 comes with its own torch")
def test_torchaudio_is_imported_beside_a_torch_that_it_does_not_fit():
    """Beside one for another CUDA it keeps its compiled part, and beside one that lacks a library all but that."""
    found = {}
    for how, error in (("CUDA", "different CUDA"), ("library", "libc10_cuda")):
        result = run_python(OTHER_TORCH, how)
        assert result.returncode == 0 and error in result.stderr, result.stderr
        found[how] = json.loads(result.stdout)
    compiled = torchaudio._extension._IS_TORCHAUDIO_EXT_AVAILABLE
    assert found["CUDA"][:2] == [compiled, compiled]
    assert found["library"][:2] == [False, False]
    assert found["library"][2] == pytest.approx(found["CUDA"][2], abs=1e-4)
    assert found["library"][3:] == found["CUDA"][3:] == [1, 23]


def test_another_error_of_torchaudio_is_passed_on(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("builtins.__import__", refuse_torchaudio)
    with pytest.raises(RuntimeError, match="another reason"):
        repairs.repair_torchaudio_import()


def refuse_torchaudio(name, *args, imported=builtins.__import__):
    if name == "torchaudio":
        raise RuntimeError("another reason")
    return imported(name, *args)


@pytest.mark.slow
def test_importing_repairs_imports_neither_torch_nor_s3prl():
    code = "import sys, mmpt.upstream.s3prl_runner.repairs; sys.exit('torch' in sys.modules or 's3prl' in sys.modules)"
    assert run_python(code).returncode == 0


def test_what_works_is_left_alone(monkeypatch):
    repairs.apply()
    effects = importlib.import_module("torchaudio.sox_effects")
    kept = object()
    for module, name in ((torchaudio, "set_audio_backend"), (torchaudio, "load"), (effects, "apply_effects_file")):
        monkeypatch.setattr(module, name, kept)
    monkeypatch.setattr(torch, "save", kept)  # apply() also runs in other people's processes
    monkeypatch.setattr(repairs, "_sox_works", lambda: True)
    monkeypatch.setattr(repairs, "_torchcodec_works", lambda: True)
    repairs.apply()
    assert torchaudio.set_audio_backend is kept and torchaudio.load is kept and effects.apply_effects_file is kept
    assert torch.save is kept


def test_placeholders_can_be_imported_and_name_what_is_missing():
    repairs.apply()
    import huggingface_hub

    if not repairs.hub_is_placeholder():
        pytest.skip("this huggingface_hub still has the two names")
    for use in (lambda: huggingface_hub.HfFolder.get_token(), lambda: huggingface_hub.Repository("x", clone_from="y")):
        with pytest.raises(RuntimeError, match="huggingface_hub<1.0"):
            use()


def test_load_takes_torchaudios_options(tmp_path):
    expected = write_noise(tmp_path / "a.wav", channels=2)
    waveform, rate = sox.load(tmp_path / "a.wav")
    assert rate == 16000 and waveform.dtype == torch.float32 and torch.equal(waveform, expected)
    part, _ = sox.load(str(tmp_path / "a.wav"), frame_offset=10, num_frames=5, channels_first=False)
    assert torch.equal(part, expected[:, 10:15].t())
    with open(tmp_path / "a.wav", "rb") as opened:
        assert torch.equal(sox.load(opened)[0], expected)


def test_keyword_effects_are_the_mean_and_minus_three_decibels(tmp_path):
    samples = write_noise(tmp_path / "a.wav", channels=2)
    effects = [["channels", "1"], ["rate", "16000"], ["gain", "-3.0"]]
    waveform, rate = sox.apply_effects_file(str(tmp_path / "a.wav"), effects)
    assert rate == 16000 and waveform.shape == (1, samples.shape[1])
    torch.testing.assert_close(waveform[0], samples.mean(0) * 0.70794578, atol=1e-7, rtol=0)
    columns, _ = sox.apply_effects_file(str(tmp_path / "a.wav"), effects, channels_first=False)
    assert torch.equal(columns, waveform.t())


def test_channels_may_come_last():
    rows = torch.rand(2, 7)
    columns, rate = sox.apply_effects_tensor(rows.t(), 16000, [["gain", "-6"]], channels_first=False)
    assert rate == 16000 and torch.equal(columns, sox.apply_effects_tensor(rows, 16000, [["gain", "-6"]])[0].t())


def test_rate_resamples_and_gain_clips(tmp_path):
    write_noise(tmp_path / "a.wav", rate=8000)
    waveform, rate = sox.apply_effects_file(str(tmp_path / "a.wav"), [["rate", "16000"]])
    assert rate == 16000 and waveform.shape[1] == 4000
    assert sox.apply_effects_tensor(torch.full((1, 4), 0.9), 16000, [["gain", "6"]])[0].max() == 1


def test_any_other_effect_is_refused_by_name():
    with pytest.raises(NotImplementedError, match="silence 1 0.1"):
        sox.apply_effects_tensor(torch.zeros(1, 4), 16000, [["silence", "1", "0.1"]])


def test_recognition_finds_its_utterances_quickly(tmp_path):
    """S3PRL's data class reads tables of 20,000 names; plain lists would need 400 million comparisons."""
    repairs.apply()
    from mmpt.upstream.s3prl_runner import registration

    registration.register()
    from s3prl.downstream.asr.dataset import SequenceDataset
    from s3prl.downstream.asr.dictionary import Dictionary

    from mmpt.upstream.s3prl_runner.data import configs_folder

    names = [f"1-2-{number:05d}" for number in range(20000)]
    (tmp_path / "train" / "1" / "2").mkdir(parents=True)
    (tmp_path / "train/1/2/1-2.trans.txt").write_text("".join(f"{name} A\n" for name in names[:-3]))
    rows = "".join(f"{number},train/1/2/{name}.flac,{16000 + number},\n" for number, name in enumerate(names))
    (tmp_path / "train.csv").write_text(",file_path,length,label\n" + rows)
    asked = []
    plain = registration._QuickList.__contains__
    registration._QuickList.__contains__ = lambda self, item: asked.append(item) or plain(self, item)
    try:
        dictionary = Dictionary.load(str(configs_folder() / "vocabulary" / "character.txt"))
        data = SequenceDataset("train", 8, dictionary, str(tmp_path), str(tmp_path), train=["train"])
    finally:
        registration._QuickList.__contains__ = plain
    assert len(asked) > 20000 and sum(map(len, data.X)) == 19997
