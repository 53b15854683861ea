"""Settings that depend on the amount of data: lengths in epochs, and a learning rate that follows the batch size."""

import dataclasses

from mmpt.training.settings import ALTERNATIVES, Settings

BASE_BATCH = 256  # clips of an update that optim.base_lr is given for, as in MAE (He et al. 2022)


def resolve(settings: Settings, updates_per_epoch: int, batch_size: int = BASE_BATCH, prints: bool = False) -> Settings:
    """Return settings with numbers of updates in place of epochs, and with `lr` in place of `base_lr`.

    A run stores these: it resumes, and can be repeated, by them alone.

    Args:
        settings: as given. Without epochs and base_lr they stay as they are.
        updates_per_epoch: on average, with the run's data and batch size.
        batch_size: clips of an update.
        prints: whether to print the numbers.
    """
    optim = settings.optim
    numbers: dict[str, float] = {}
    if optim.epochs is not None:
        numbers["steps"] = max(1, round(optim.epochs * updates_per_epoch))
    if optim.warmup_epochs is not None:
        numbers["warmup_steps"] = round(optim.warmup_epochs * updates_per_epoch)
    if optim.base_lr is not None:
        numbers["lr"] = optim.base_lr * batch_size / BASE_BATCH
    for name, value in numbers.items():
        if prints:
            given = ALTERNATIVES[name]
            print(f"optim.{given}={getattr(optim, given):g} is optim.{name}={value:.10g}")
    resolved = {**numbers, **{ALTERNATIVES[name]: None for name in numbers}}
    return dataclasses.replace(settings, optim=dataclasses.replace(optim, **resolved))  # type: ignore[arg-type]
