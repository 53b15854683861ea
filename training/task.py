"""What the trainer asks of a stage: TrainingTask."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from torch import Tensor, nn

from mmpt.training.distributed import Counts
from mmpt.training.skipped import SkippedItems
from mmpt.upstream.mmpt_av import Encoder

Batch = Any  # each task has its own; `to(device)` returns a copy there


class TrainingTask(Protocol):
    """A stage's model, data and losses."""

    encoder: Encoder
    unit: str  # what batches are counted in: "clips" or "frames"
    best_metric: str  # of `validate`; the checkpoint where it is lowest becomes `best`
    validates_untrained: bool  # whether a run begins with a validation, before its first update
    data_checksum: int  # of the training data in their order; a resumed run must find the same
    updates_per_epoch: int  # on average
    skipped: SkippedItems  # the task records here what it could not read

    @property
    def model(self) -> nn.Module:
        """The model to train, which holds the encoder as `model.encoder`."""

    def batches(self, epoch: int, skip: int) -> Iterator[Batch]:
        """Yield this rank's micro-batches of an epoch, without its first `skip` updates; the same ones at each call."""

    def counts(self, batch: Batch) -> dict[str, int]:
        """Count a batch by name: `unit`, and whatever the losses are divided by."""

    def freeze(self, step: int) -> bool:
        """Freeze and unfreeze weights for the update after `step` others; the model is in training mode.

        Return True if the set of trained weights changed.
        """

    def look_ahead(self, parts: Iterable[Batch], counts: Counts) -> list[Any] | None:
        """Return what the loss of each micro-batch must know of the others; None if it needs nothing.

        Called once in an update of several micro-batches, before their losses.

        Args:
            parts: the micro-batches on the model's device, one after another.
            counts: of the whole update.
        """

    def loss(self, model: nn.Module, batch: Batch, counts: Counts, ahead: Any = None) -> dict[str, Tensor]:
        """Return losses by name, scalars on the model's device; `loss` is the one to minimise.

        A GPU computes while the next update is prepared: nothing here may wait for it.

        Args:
            model: the task's own, or DDP around it.
            batch: a micro-batch on the model's device.
            counts: of the whole update. Each loss is this batch's part of the mean over all micro-batches and ranks.
            ahead: what `look_ahead` returned for this micro-batch.
        """

    def gauges(self) -> dict[str, float]:
        """Return current values for the log, such as a learned temperature."""

    def compile(self) -> None:
        """Have torch compile the blocks, at their first use."""

    def validate(self, step: int) -> dict[str, float]:
        """Return figures on held-out data by name, the same on all ranks.

        The model is in evaluation mode, and no gradients are computed.
        """

    def provenance(self, step: int) -> dict:
        """Return the origin of the encoder's weights after `step` updates (see mmpt_av.checkpoint)."""

    def finish_encoder(self, encoder: Encoder) -> dict[str, str]:
        """Prepare an encoder of this run for the tasks, before it is exported, in the main process.

        Return what its stage's provenance says about that.
        """
