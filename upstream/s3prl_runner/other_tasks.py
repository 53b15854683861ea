"""Mend, when S3PRL's runner builds a task beyond the five, what that task lacks on today's stack.

S3PRL's files stay untouched: names in its modules are replaced in this process. Each function names the line of s3prl
0.4.18 that it serves.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from mmpt.upstream.errors import InputError

AUDIO_SUFFIXES = (".aac", ".au", ".flac", ".m4a", ".mp3", ".ogg", ".wav")  # those of librosa.util.find_files
COARSEST_SAMPLES = 320  # between states, for SE and SS: that of the upstreams they were made for


def prepare_tasks(runner: types.ModuleType) -> None:
    """Let the runner prepare a task before it builds it. Serves s3prl/downstream/runner.py:182."""
    original = runner.Runner._get_downstream
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def get_downstream(self):
        if prepare := PREPARATIONS.get(self.args.downstream):
            prepare(self)
        return original(self)

    runner.Runner._get_downstream = get_downstream


def prepare_speaker_identification(runner: Any) -> None:
    """Import SID's data set without librosa, and let it search its files anew.

    Serves s3prl/downstream/voxceleb1/dataset.py:4, an import that nothing uses, and :17: S3PRL keeps the list of files
    in its own package, and a second corpus or list of splits would get the files of the first.
    """
    with unused_imports():
        dataset = importlib.import_module("s3prl.downstream.voxceleb1.dataset")
    folder = tempfile.TemporaryDirectory(prefix="voxceleb1-files-")
    vars(dataset)["CACHE_PATH"] = folder.name
    vars(dataset)["mmpt_folder"] = folder  # deleted with the process


def prepare_speaker_verification(runner: Any) -> None:
    """Import ASV without sox and librosa, keep its lengths by corpus, use the machine's CPUs, and run on a CPU.

    Serves s3prl/downstream/sv_voxceleb1/dataset.py:13 (an import that nothing uses), :15, :41 (a file in the package,
    the same for each corpus), :54 (12 processes on any machine), and expert.py:203 and :210 (`.cuda()`).
    """
    with unused_imports():
        dataset = importlib.import_module("s3prl.downstream.sv_voxceleb1.dataset")
    expert = importlib.import_module("s3prl.downstream.sv_voxceleb1.expert")
    folder = lengths_folder(runner.config["downstream_expert"]["datarc"]["file_path"])
    folder.mkdir(parents=True, exist_ok=True)
    vars(dataset).update(__file__=str(folder / "dataset.py"), Parallel=_parallel_on_all_cpus)
    forward = expert.DownstreamExpert.forward
    if not hasattr(forward, "__wrapped__"):
        expert.DownstreamExpert.forward = _without_cuda(forward)


def lengths_folder(corpus: str) -> Path:
    """Return where the trimmed lengths of a VoxCeleb1 are kept: beside torch.hub's downloads, by the corpus's path."""
    import torch

    name = hashlib.sha256(str(Path(corpus).resolve()).encode()).hexdigest()[:16]
    return Path(torch.hub.get_dir()) / "mmpt_av" / "voxceleb1_lengths" / name


def _parallel_on_all_cpus(n_jobs: int) -> Any:
    """Return joblib's Parallel over the CPUs that this process may use, whatever `n_jobs` asks for."""
    import joblib

    return joblib.Parallel(n_jobs=-1)


def _without_cuda(forward: Callable) -> Callable:
    """Return a forward method in which `Tensor.cuda` leaves tensors on the CPU if the states are there."""
    import torch

    @functools.wraps(forward)
    def wrapped(self, mode, features, *args, **kwargs):
        if features[0].is_cuda:
            return forward(self, mode, features, *args, **kwargs)
        with mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor):
            return forward(self, mode, features, *args, **kwargs)

    return wrapped


@contextlib.contextmanager
def unused_imports() -> Iterator[None]:
    """Stand in for `librosa.util.find_files` and `sox.Transformer` during an import, where they are not installed."""
    util = types.ModuleType("librosa.util")
    vars(util)["find_files"] = find_files
    librosa, sox = types.ModuleType("librosa"), types.ModuleType("sox")
    vars(librosa)["util"] = util
    vars(sox)["Transformer"] = None
    stand_ins: dict[str, types.ModuleType] = {}
    if importlib.util.find_spec("librosa") is None:
        stand_ins |= {"librosa": librosa, "librosa.util": util}
    if importlib.util.find_spec("sox") is None:
        stand_ins |= {"sox": sox}
    try:
        sys.modules.update(stand_ins)
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def find_files(folder: str | Path) -> list[str]:
    """Return the sound files below a folder, sorted, as librosa's function of this name does."""
    return sorted(str(file.absolute()) for file in Path(folder).rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)


def refuse_coarse_states(runner: Any) -> None:
    """Refuse SE and SS if the upstream's frames are too far apart for their spectrograms.

    Serves s3prl/downstream/separation_stft/expert.py:104, and the same line of separation_stft2 and enhancement_stft:
    the hop of the STFT is the upstream's rate. Also enhancement_stft2/expert.py:66, an assertion without a word.

    Raises:
        InputError: the states are more than 320 samples apart, or a package is missing.
    """
    rate, name = runner.featurizer.model.downsample_rate, runner.args.downstream
    window = runner.config["downstream_expert"]["datarc"]["win_length"]
    if rate > COARSEST_SAMPLES:
        if name == "enhancement_stft2":
            reason = "repeats each state at most once for its spectra, which are 160 samples apart"
        elif rate > window:
            reason = f"takes a spectrum at each state: windows of {window} samples would leave gaps between them"
        else:
            reason = "takes a spectrum at each state: even an ideal mask then separates 1.4 dB worse than at 320"
        raise InputError(
            f"-d {name}: this upstream's states are {rate} samples apart, and S3PRL's task {reason}; use states "
            f"{COARSEST_SAMPLES} samples apart or closer (mmpt_av: -g FILE with the line 'frame_hop: 320')"
        )
    require("asteroid", "librosa", extra="superb-all")


def prepare_queries(runner: Any) -> None:
    """Name the packages that QbE needs. Serves s3prl/downstream/quesst14_dtw/expert.py:11 and :12."""
    require("dtw", "lxml", extra="superb")


def require(*names: str, extra: str) -> None:
    """Raise InputError if one of these modules is not installed."""
    if missing := [name for name in names if importlib.util.find_spec(name) is None]:
        raise InputError(f"{' and '.join(missing)} not installed: pip install 'mmpt-av[{extra}]'")


PREPARATIONS: dict[str, Callable[[Any], None]] = {
    "voxceleb1": prepare_speaker_identification,
    "sv_voxceleb1": prepare_speaker_verification,
    "quesst14_dtw": prepare_queries,
    "enhancement_stft": refuse_coarse_states,
    "enhancement_stft2": refuse_coarse_states,
    "separation_stft": refuse_coarse_states,
    "separation_stft2": refuse_coarse_states,
}
