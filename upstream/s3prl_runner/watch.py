"""Observe one run of S3PRL's runner from outside: wrap its names, leave its files untouched.

- A training set without a whole batch makes the runner loop for ever; an empty split ends in a division by zero.
  Both become an error.
- `tally.json` counts what the runner drops silently: batches that do not fit the GPU's memory, steps with a NaN
  gradient, and utterances with more CTC labels than states (`zero_infinity` sets their loss to 0).
- The runner writes scores to TensorBoard only; `scores.jsonl` gets them too, one JSON object a line.
- For features that an upstream does not have (`-s`) the runner takes the sum of all layers. This becomes an error, too.
- Keyword spotting cuts its silences at random from long noises: the encoder's cache is told not to keep them.

Each function names the line of s3prl 0.4.18 that it serves.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.s3prl_runner import printed

TALLY, SCORES = "tally.json", "scores.jsonl"
RANDOM_CROPS = "_background_noise_"
"""Start of the file name that KS gives a training silence (s3prl/downstream/speech_commands/dataset.py:37 and :63)."""


class Watch:
    """Counts over the one run of this process.

    `counts` has `dropped_batches` and `nan_steps` of the training, and in `ctc`, by split, the number of utterances and
    of those that cannot be aligned: summed over the epochs for the training split, of the last pass for any other.
    A resumed run continues from the counts that were stored with its checkpoint.
    """

    def __init__(self) -> None:
        self.counts: dict[str, Any] = {"dropped_batches": 0, "nan_steps": 0, "ctc": {}}
        self.split = "train"
        self.upstream: Any = None
        self.folder: Path | None = None

    def start(self) -> None:
        """Wrap the names that S3PRL's runner looks up in this process; this imports the runner."""
        import s3prl.downstream.runner as runner
        import torch

        runner.print = self._on_print
        runner.SummaryWriter = _recording(runner.SummaryWriter, self)
        self._wrap(runner.Runner, "_init_model", self._on_part_made)
        self._wrap(torch.nn.CTCLoss, "forward", self._count_unalignable)
        self._wrap(torch, "save", self._on_save)

    def stop(self) -> None:
        """Write tally.json and give S3PRL its names back."""
        import s3prl.downstream.runner as runner
        import torch

        from mmpt.upstream.s3prl_runner.progress import RunnerProgress

        RunnerProgress.folder = None
        del runner.print
        runner.SummaryWriter = runner.SummaryWriter.__base__
        for owner, name in ((runner.Runner, "_init_model"), (torch.nn.CTCLoss, "forward"), (torch, "save")):
            setattr(owner, name, getattr(owner, name).__wrapped__)
        self.write()

    def write(self) -> None:
        """Write tally.json into the experiment's folder; only the leading process does."""
        if self.folder is not None and _is_leader():
            write_text(self.folder / TALLY, json.dumps(self.counts, indent=2) + "\n")

    @staticmethod
    def _wrap(owner: Any, name: str, ours: Callable) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args, **kwargs):
            return ours(original, *args, **kwargs)

        setattr(owner, name, wrapped)

    def _on_part_made(self, original, runner, model, name, *args, **kwargs):
        """Note upstream, folder and loaders as the run makes its parts. Serves s3prl/downstream/runner.py:106."""
        from mmpt.upstream.s3prl_runner.progress import RunnerProgress

        if name == "Upstream":
            self.upstream = model
        if name == "Featurizer":
            _check_features(runner.args, model)
        if name == "Downstream":
            self.folder = Path(runner.args.expdir)
            RunnerProgress.folder = self.folder if _is_leader() else None
            if runner.args.past_exp and (self.folder / TALLY).is_file():
                self.counts = json.loads((self.folder / TALLY).read_text(encoding="utf-8"))
            get_dataloader = model.get_dataloader
            model.get_dataloader = lambda split, **kwargs: self._begin_pass(split, get_dataloader(split, **kwargs))
        return original(runner, model, name, *args, **kwargs)

    def _begin_pass(self, split: str, loader):
        """Check a split before each pass over it. Serves s3prl/downstream/runner.py:277 and :458."""
        if len(loader) == 0 and split == "train":
            raise InputError(
                "the training set gives no whole batch, and S3PRL would wait for one for ever: "
                "use more data or a smaller batch (see downstream_configs)"
            )
        if len(loader) == 0:
            raise InputError(f"the split {split} is empty; check the data (scripts/superb/check_data.py)")
        if split != "train":
            self.counts["ctc"].pop(split, None)
        self.split = split
        return _AnnouncingLoader(loader, self.upstream) if _has_cache(self.upstream) else loader

    def _count_unalignable(self, original, loss, log_probs, targets, input_lengths, target_lengths):
        """Count utterances without a CTC path: each label needs a state, and equal neighbours one more between them.

        Serves s3prl/downstream/ctc/expert.py:80 and asr/expert.py:283.
        """
        split = "train" if loss.training else self.split
        counts = self.counts["ctc"].setdefault(split, {"utterances": 0, "unalignable": 0})
        for row, states, labels in zip(targets.cpu(), input_lengths.tolist(), target_lengths.tolist()):
            repeats = int((row[1:labels] == row[: labels - 1]).sum()) if labels > 1 else 0
            counts["utterances"] += 1
            counts["unalignable"] += labels + repeats > states
        return original(loss, log_probs, targets, input_lengths, target_lengths)

    def _on_save(self, original, content, file, *args, **kwargs):
        """Write the tally along with each checkpoint. Serves s3prl/downstream/runner.py:419."""
        original(content, file, *args, **kwargs)
        if str(file).endswith(".ckpt"):
            self.write()

    def _on_print(self, *args, **kwargs):
        """Count the losses that the runner prints, and print them."""
        text = " ".join(map(str, args))
        self.counts["dropped_batches"] += printed.is_dropped_batch(text)
        self.counts["nan_steps"] += printed.is_nan_step(text)
        print(*args, **kwargs)


class _AnnouncingLoader:
    """A loader of (wavs, labels, file names, ...) that tells the upstream's cache which sounds will not come again."""

    def __init__(self, loader, upstream):
        self.loader, self.upstream = loader, upstream
        self.sampler = loader.sampler  # the runner looks for it

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple]:
        for batch in self.loader:
            wavs, *others = batch
            names = others[1] if len(others) > 1 else ()
            self.upstream.keep_out_of_cache(row for row, name in enumerate(names) if str(name).startswith(RANDOM_CROPS))
            yield (wavs, *others)


def _recording(writer: type, watch: Watch) -> type:
    """Return a SummaryWriter class that also writes scores.jsonl, for the experiment's own folder."""

    class Recording(writer):
        def add_scalar(self, tag, scalar_value, global_step=None, *args, **kwargs):
            super().add_scalar(tag, scalar_value, global_step, *args, **kwargs)
            if watch.folder is not None and Path(self.logdir) == watch.folder:
                with (watch.folder / SCORES).open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"step": global_step, "name": tag, "value": float(scalar_value)}) + "\n")

    return Recording


def _check_features(args: Any, featurizer: Any) -> None:
    """Refuse features that the upstream does not have: the featurizer would take the sum of all layers instead.

    Serves s3prl/upstream/interfaces.py:152.
    """
    asked, taken = args.upstream_feature_selection, featurizer.feature_selection
    if taken != asked:
        raise InputError(f"-s {asked}: the upstream has no such features; {taken} are all layers, -l N takes one")


def _has_cache(upstream: Any) -> bool:
    """Return True for an upstream of ours with a cache; another's `cache` may be anything."""
    return hasattr(upstream, "keep_out_of_cache") and upstream.cache is not None


def _is_leader() -> bool:
    import torch

    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
