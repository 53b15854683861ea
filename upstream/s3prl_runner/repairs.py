"""What today's PyTorch, torchaudio and huggingface_hub took away from S3PRL 0.4.18, mended at run time.

`apply()` puts back, in the libraries themselves, the few names that S3PRL's code still asks for. S3PRL
is neither copied nor changed. Every repair names the line of s3prl 0.4.18 that it serves and leaves
everything alone where the thing still exists and works, so on an old enough stack `apply()` does nothing.

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

from mmpt.upstream.files import replacing


def apply() -> None:
    """Mend everything; each repair is a no-op where nothing is broken."""
    repair_audio_backend()
    repair_sox_effects()
    repair_load()
    repair_hub_names()
    repair_checkpoint_loading()
    repair_checkpoint_saving()


def repair_audio_backend() -> None:
    """`torchaudio.set_audio_backend` is gone from torchaudio 2.9: give it a no-op.

    Serves s3prl/run_downstream.py:157, and s3prl/upstream/byol_s/byol_a/common.py:20, which runs inside
    `import s3prl.hub`. Nothing depends on the choice: `load` below reads what the five tasks hold.
    """
    import torchaudio

    if not hasattr(torchaudio, "set_audio_backend"):
        torchaudio.set_audio_backend = lambda backend=None: None


def repair_sox_effects() -> None:
    """`torchaudio.sox_effects` is gone from torchaudio 2.9, and needs libsox.so before: replace it.

    Serves s3prl/downstream/speech_commands/dataset.py:35 (keyword spotting: channels, rate, gain) and
    the import in s3prl/upstream/mos_prediction/expert.py:9, which runs inside `import s3prl.hub`.
    """
    import torchaudio

    if _sox_works():
        return
    from mmpt.upstream.s3prl_runner import sox

    try:
        module = importlib.import_module("torchaudio.sox_effects")
    except ImportError:
        module = types.ModuleType("torchaudio.sox_effects", "Stands in for the part that torchaudio dropped.")
        sys.modules["torchaudio.sox_effects"] = module
        torchaudio.sox_effects = module
    module.apply_effects_file = sox.apply_effects_file
    module.apply_effects_tensor = sox.apply_effects_tensor


def repair_load() -> None:
    """`torchaudio.load` of torchaudio 2.9 wants torchcodec: where that does not load, read with soundfile.

    Serves s3prl/downstream/fluent_commands/dataset.py:27, s3prl/downstream/asr/dataset.py:112,
    s3prl/downstream/ctc/data.py:16 and s3prl/downstream/runner.py:514.
    """
    import torchaudio

    if hasattr(torchaudio, "load_with_torchcodec") and not _torchcodec_works():
        from mmpt.upstream.s3prl_runner import sox

        torchaudio.load = sox.load


def repair_hub_names() -> None:
    """`HfFolder` and `Repository` are gone from huggingface_hub 1.0: give placeholders that say so.

    Serves the imports in s3prl/run_downstream.py:17 and s3prl/downstream/runner.py:27. They are used for
    `--hub huggingface` and `--push_to_hf_hub` alone, which the launcher refuses when they are placeholders.
    """
    import huggingface_hub

    for name in ("HfFolder", "Repository"):
        if not hasattr(huggingface_hub, name):
            setattr(huggingface_hub, name, _placeholder(name, huggingface_hub.__version__))


def repair_checkpoint_loading() -> None:
    """Torch 2.6 and later refuse the `argparse.Namespace` in S3PRL's checkpoints: allow that one class.

    Serves `torch.load` in s3prl/run_downstream.py:112 and :171 and s3prl/downstream/runner.py:91 (`-e`,
    `-i`, resuming). Loading stays restricted to plain data otherwise.
    """
    import torch

    torch.serialization.add_safe_globals([argparse.Namespace])


def repair_checkpoint_saving() -> None:
    """A run that is killed while it saves leaves half a checkpoint: write it under another name first.

    Serves `torch.save(all_states, path)` in s3prl/downstream/runner.py:419; files that do not end in .ckpt
    are saved as ever. The stored `Optimizer` state and all else are the same bytes.
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

    save.mmpt_original = original
    torch.save = save


def hub_is_placeholder() -> bool:
    """Whether this huggingface_hub has dropped what S3PRL's `--hub huggingface` needs."""
    import huggingface_hub

    return not hasattr(huggingface_hub, "HfFolder") or hasattr(huggingface_hub.HfFolder, "mmpt_placeholder")


def _sox_works() -> bool:
    """Whether torchaudio still has sox effects and finds libsox.so to run them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchaudio 2.8 announces that 2.9 drops them
            return bool(importlib.import_module("torchaudio.sox_effects").effect_names())
    except (ImportError, AttributeError, OSError, RuntimeError):
        return False


def _torchcodec_works() -> bool:
    """Whether torchcodec is installed and finds its FFmpeg libraries (it raises RuntimeError if not)."""
    if importlib.util.find_spec("torchcodec") is None:
        return False
    try:
        importlib.import_module("torchcodec.decoders")
    except (ImportError, OSError, RuntimeError):
        return False
    return True


def _placeholder(name: str, version: str) -> type:
    """A class that can be imported and that raises as soon as it is used."""
    message = (
        f"S3PRL 0.4.18 needs huggingface_hub.{name} for this, which huggingface_hub {version} no longer has: "
        "pip install 'huggingface_hub<1.0', or work with local files"
    )

    class Refuses(type):
        mmpt_placeholder = True

        def __getattr__(cls, attribute):
            if attribute.startswith("__"):  # copy, pickle and inspect look for these
                raise AttributeError(attribute)
            raise RuntimeError(message)

        def __call__(cls, *args, **kwargs):
            raise RuntimeError(message)

    return Refuses(name, (), {"__doc__": message})
