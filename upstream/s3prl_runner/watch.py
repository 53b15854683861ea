"""What S3PRL's runner lets pass without a word, watched from outside: its names are wrapped, its files untouched.

- A training set that gives no batch makes it loop for ever; an empty split ends in a division by zero. Both are an error.
- Batches dropped for want of memory, steps dropped for a NaN gradient, and utterances with more CTC labels than states
  (`zero_infinity` makes their loss 0) are counted into `tally.json`.
- Its scores go to TensorBoard alone: they are also written, a JSON object a line, into `scores.jsonl`.
- Keyword spotting cuts its silences at random from long noises: an encoder's cache is told not to keep them.

Each function names the line of s3prl 0.4.18 that it serves.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text

TALLY, SCORES = "tally.json", "scores.jsonl"
RANDOM_CROPS = "_background_noise_"
"""How the file name of a training silence begins, as KS tells it (s3prl/downstream/speech_commands/dataset.py:37 and :63)."""


class Watch:
    """Watches the one run of this process.

    `dropped_batches` and `nan_steps` are counted in training. `ctc` has, by split, utterances met and those among them that
    cannot be aligned: in training summed over the epochs, else of the last pass. A resumed run goes on counting
    from what was stored with the checkpoint.
    """

    def __init__(self):
        self.counts: dict = {"dropped_batches": 0, "nan_steps": 0, "ctc": {}}
        self.split = "train"
        self.upstream = None
        self.folder: Path | None = None

    def start(self) -> None:
        """Wraps S3PRL's names in this process; the runner is imported by it."""
        import s3prl.downstream.runner as runner
        import torch

        runner.print = self._listen
        runner.SummaryWriter = _recording(runner.SummaryWriter, self)
        self._wrap(runner.Runner, "_init_model", self._meet)
        self._wrap(torch.nn.CTCLoss, "forward", self._count_unalignable)
        self._wrap(torch, "save", self._saved)

    def stop(self) -> None:
        """Writes tally.json, and gives S3PRL its names back."""
        import s3prl.downstream.runner as runner
        import torch

        del runner.print
        runner.SummaryWriter = runner.SummaryWriter.__base__
        for owner, name in ((runner.Runner, "_init_model"), (torch.nn.CTCLoss, "forward"), (torch, "save")):
            setattr(owner, name, getattr(owner, name).__wrapped__)
        self.write()

    def write(self) -> None:
        """tally.json in the experiment's folder, by the leading process alone."""
        if self.folder is None or not _leads():
            return
        write_text(self.folder / TALLY, json.dumps(self.counts, indent=2) + "\n")

    @staticmethod
    def _wrap(owner, name: str, ours) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args, **kwargs):
            return ours(original, *args, **kwargs)

        setattr(owner, name, wrapped)

    def _meet(self, original, runner, model, name, *args, **kwargs):
        """The parts of a run as they are made. Serves s3prl/downstream/runner.py:106."""
        if name == "Upstream":
            self.upstream = model
        if name == "Downstream":
            self.folder = Path(runner.args.expdir)
            if runner.args.past_exp and (self.folder / TALLY).is_file():
                self.counts = json.loads((self.folder / TALLY).read_text(encoding="utf-8"))
            get_dataloader = model.get_dataloader
            model.get_dataloader = lambda split, **kwargs: self._begin_pass(split, get_dataloader(split, **kwargs))
        return original(runner, model, name, *args, **kwargs)

    def _begin_pass(self, split: str, loader):
        """Before each pass over a split. Serves s3prl/downstream/runner.py:277 and :458."""
        if len(loader) == 0:
            raise InputError(
                "the training set gives no whole batch, and S3PRL would wait for one for ever: more data, or a smaller batch (see downstream_configs)"
                if split == "train"
                else f"the split {split} is empty; check the data (scripts/superb/check_data.py)"
            )
        if split != "train":
            self.counts["ctc"].pop(split, None)
        self.split = split
        return _Announced(loader, self.upstream) if getattr(self.upstream, "cache", None) is not None else loader

    def _count_unalignable(self, original, loss, log_probs, targets, input_lengths, target_lengths):
        """CTC needs a state for each label and one more between equal neighbours. Serves ctc/expert.py:80, asr/expert.py:283."""
        split = "train" if loss.training else self.split
        counts = self.counts["ctc"].setdefault(split, {"utterances": 0, "unalignable": 0})
        for row, states, labels in zip(targets.cpu(), input_lengths.tolist(), target_lengths.tolist()):
            repeats = int((row[1:labels] == row[: labels - 1]).sum()) if labels > 1 else 0
            counts["utterances"] += 1
            counts["unalignable"] += labels + repeats > states
        return original(loss, log_probs, targets, input_lengths, target_lengths)

    def _saved(self, original, content, file, *args, **kwargs):
        """The tally goes with the checkpoint. Serves s3prl/downstream/runner.py:419."""
        original(content, file, *args, **kwargs)
        if str(file).endswith(".ckpt"):
            self.write()

    def _listen(self, *args, **kwargs):
        """The runner's own words. Serves s3prl/downstream/runner.py:323 and :351."""
        text = " ".join(map(str, args))
        self.counts["dropped_batches"] += "CUDA out of memory" in text
        self.counts["nan_steps"] += "grad norm is NaN" in text
        print(*args, **kwargs)


class _Announced:
    """A loader of (wavs, labels, file names, ...) that tells the upstream which sounds will not come again."""

    def __init__(self, loader, upstream):
        self.loader, self.upstream = loader, upstream
        self.sampler = loader.sampler  # the runner looks for it

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self):
        for batch in self.loader:
            wavs, *others = batch
            names = others[1] if len(others) > 1 else ()
            self.upstream.not_kept = {row for row, name in enumerate(names) if str(name).startswith(RANDOM_CROPS)}
            yield (wavs, *others)


def _recording(writer: type, watch: Watch) -> type:
    """A SummaryWriter that also writes scores.jsonl, for the experiment's own folder."""

    class Recording(writer):
        def add_scalar(self, tag, scalar_value, global_step=None, *args, **kwargs):
            super().add_scalar(tag, scalar_value, global_step, *args, **kwargs)
            if watch.folder is not None and Path(self.logdir) == watch.folder:
                with (watch.folder / SCORES).open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"step": global_step, "name": tag, "value": float(scalar_value)}) + "\n")

    return Recording


def _leads() -> bool:
    import torch

    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
