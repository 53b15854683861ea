"""Restore at run time what S3PRL 0.4.18 needs and today's PyTorch, torchaudio and huggingface_hub have removed.

`apply()` puts the few names that S3PRL's code still uses back into the libraries. S3PRL is neither copied nor changed.
Every repair names the line of s3prl 0.4.18 that it serves, and does nothing if the name still exists and works. On an
old enough stack, all that `apply()` changes is that torch may load S3PRL's checkpoints.

`apply()` imports no part of S3PRL, must run before the first `import s3prl.hub`, and may be called again.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import sys
import types
import warnings
from pathlib import Path

from mmpt.upstream.files import replacing

STAND_INS = Path(__file__).parent / "stand_ins"


def apply() -> None:
    """Apply every repair; each does nothing if nothing is broken."""
    repair_torchaudio_import()
    repair_missing_packages()
    repair_audio_backend()
    repair_sox_effects()
    repair_load()
    repair_hub_names()
    repair_checkpoint_loading()


def repair_torchaudio_import() -> None:
    """Let torchaudio 2.11 be imported beside a torch that its compiled part does not fit.

    Serves `import torchaudio` in s3prl/run_downstream.py:8. torchaudio refuses a torch for another CUDA (RuntimeError),
    and fails if its libraries do not load (OSError), as with a torch for CPUs alone, which has no libc10_cuda. What
    loads is kept. Without it, `lfilter` runs in Python, and forced alignment and the RNN-T loss raise an error.
    """
    try:
        import torchaudio
    except (OSError, RuntimeError):
        utils = sys.modules.get("torchaudio._extension.utils")  # stays imported; what failed is imported again
        if utils is None:
            raise
        original = utils._load_lib

        def load_if_possible(library: str) -> bool:
            try:
                return original("libtorchaudio") and original(library)
            except OSError:
                return False

        vars(utils).update(_load_lib=load_if_possible, _check_cuda_version=lambda: None)
        import torchaudio  # noqa: F401


def repair_missing_packages() -> None:
    """Let Python find `stand_ins` for catalyst and editdistance, if they are not installed.

    Serves s3prl/downstream/speech_commands/expert.py:12 (KS), s3prl/downstream/ctc/metric.py:3 (PR),
    s3prl/downstream/asr/expert.py:4 and s3prl/metric/common.py:12. S3PRL does not require the two packages. pip 24.1
    and later refuse catalyst, whose metadata are invalid, and editdistance has no wheels for Python 3.13 or for ARM.
    """
    names = ("catalyst", "editdistance")
    if str(STAND_INS) not in sys.path and any(importlib.util.find_spec(name) is None for name in names):
        sys.path.append(str(STAND_INS))


def repair_audio_backend() -> None:
    """Define `torchaudio.set_audio_backend`, which torchaudio 2.9 removed, as a function without effect.

    Serves s3prl/run_downstream.py:157, and s3prl/upstream/byol_s/byol_a/common.py:20, which runs inside
    `import s3prl.hub`. Nothing depends on the choice: `repair_load` reads all files of the five tasks.
    """
    import torchaudio

    if not hasattr(torchaudio, "set_audio_backend"):
        torchaudio.set_audio_backend = lambda backend=None: None


def repair_sox_effects() -> None:
    """Replace `torchaudio.sox_effects`, which torchaudio 2.9 removed and which needed libsox.so before.

    Serves s3prl/downstream/speech_commands/dataset.py:35 (keyword spotting: channels, rate, gain) and the import in
    s3prl/upstream/mos_prediction/expert.py:9, which runs inside `import s3prl.hub`.
    """
    import torchaudio

    if _sox_works():
        return
    from mmpt.upstream.s3prl_runner import sox

    try:
        module = importlib.import_module("torchaudio.sox_effects")
    except ImportError:
        module = types.ModuleType("torchaudio.sox_effects", "Replaces the part that torchaudio removed.")
        sys.modules["torchaudio.sox_effects"] = module
        torchaudio.sox_effects = module
    vars(module).update(apply_effects_file=sox.apply_effects_file, apply_effects_tensor=sox.apply_effects_tensor)


def repair_load() -> None:
    """Let `torchaudio.load` read with soundfile if torchcodec, which torchaudio 2.9 requires, does not load.

    Serves s3prl/downstream/fluent_commands/dataset.py:27, s3prl/downstream/asr/dataset.py:112,
    s3prl/downstream/ctc/data.py:16 and s3prl/downstream/runner.py:514.
    """
    import torchaudio

    if hasattr(torchaudio, "load_with_torchcodec") and not _torchcodec_works():
        from mmpt.upstream.s3prl_runner import sox

        torchaudio.load = sox.load


def repair_hub_names() -> None:
    """Define placeholders for `HfFolder` and `Repository`, which huggingface_hub 1.0 removed.

    Serves the imports in s3prl/run_downstream.py:17 and s3prl/downstream/runner.py:27. Only `--hub huggingface` and
    `--push_to_hf_hub` use them; the launcher refuses both if there are placeholders.
    """
    import huggingface_hub

    for name in ("HfFolder", "Repository"):
        if not hasattr(huggingface_hub, name):
            setattr(huggingface_hub, name, _placeholder(name, huggingface_hub.__version__))


def repair_checkpoint_loading() -> None:
    """Allow `argparse.Namespace` in checkpoints, which torch 2.6 and later refuse and S3PRL writes.

    Serves `torch.load` in s3prl/run_downstream.py:112 and :171 and s3prl/downstream/runner.py:91 (`-e`, `-i`). Loading
    stays restricted to plain data otherwise.
    """
    import torch

    torch.serialization.add_safe_globals([argparse.Namespace])


def repair_checkpoint_saving() -> None:
    """Write checkpoints under a temporary name first, so that a run killed while it saves leaves no half file.

    Serves `torch.save(all_states, path)` in s3prl/downstream/runner.py:419. Files that do not end in .ckpt are saved as
    before, and the content is the same. The launcher calls it; `apply()` does not, because it also runs in other
    people's processes.
    """
    import torch

    original = torch.save
    if hasattr(original, "mmpt_original"):
        return

    @functools.wraps(original)
    def save(content, file, *args, **kwargs):
        if not str(file).endswith(".ckpt"):
            return original(content, file, *args, **kwargs)
        with replacing(file) as temporary:
            original(content, temporary, *args, **kwargs)

    vars(save)["mmpt_original"] = original  # marks what is replaced already
    vars(torch)["save"] = save


def hub_is_placeholder() -> bool:
    """Return True if this huggingface_hub lacks what S3PRL's `--hub huggingface` needs."""
    import huggingface_hub

    return not hasattr(huggingface_hub, "HfFolder") or hasattr(huggingface_hub.HfFolder, "mmpt_placeholder")


def _sox_works() -> bool:
    """Return True if torchaudio still has sox effects and finds libsox.so to run them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchaudio 2.8 announces their removal in 2.9
            return bool(importlib.import_module("torchaudio.sox_effects").effect_names())
    except (ImportError, AttributeError, OSError, RuntimeError):
        return False


def _torchcodec_works() -> bool:
    """Return True if torchcodec is installed and finds its FFmpeg libraries (it raises RuntimeError if not)."""
    if importlib.util.find_spec("torchcodec") is None:
        return False
    try:
        importlib.import_module("torchcodec.decoders")
    except (ImportError, OSError, RuntimeError):
        return False
    return True


def _placeholder(name: str, version: str) -> type:
    """Return a class that can be imported and raises an error at any use."""
    message = (
        f"S3PRL 0.4.18 needs huggingface_hub.{name} for this, which huggingface_hub {version} no longer has: "
        "pip install 'huggingface_hub<1.0', or work with local files"
    )

    class Refuses(type):
        mmpt_placeholder = True

        def __getattr__(cls, attribute):
            if attribute.startswith("__"):  # copy, pickle and inspect ask for these
                raise AttributeError(attribute)
            raise RuntimeError(message)

        def __call__(cls, *args, **kwargs):
            raise RuntimeError(message)

    return Refuses(name, (), {"__doc__": message})
