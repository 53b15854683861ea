"""Which checkpoints a run keeps, and which ones the exported mean is taken of."""

import pytest
import torch

from mmpt.midtrain.run import CONFIGS
from mmpt.midtrain.settings import MidtrainSettings
from mmpt.training.best import Best
from mmpt.training.checkpoints import Checkpoints, step_of
from mmpt.training.settings import load_settings
from mmpt.upstream.errors import InputError


def save_run(folder, losses, keep, patience, validate_every=1, checkpoint_every=1):
    """Save the checkpoints of a run whose dev losses, from update 1 on, are these; return their folder."""
    checkpoints, best = Checkpoints(folder, keep, patience), Best()
    checkpoints.path.mkdir(parents=True)
    for step, loss in enumerate(losses, start=1):
        is_best = step % validate_every == 0 and best.add(loss)
        has_ended = step == len(losses) or 0 < patience <= best.since
        is_scheduled = step % checkpoint_every == 0 or has_ended
        if is_best or is_scheduled:
            checkpoints.save(step, {"weight": torch.tensor(loss)}, is_best, is_scheduled)
        if has_ended:
            break
    return checkpoints


def steps(files) -> list[int]:
    return sorted(step_of(file) for file in files)


def test_the_mean_of_the_published_recipe_holds_its_best_checkpoint(tmp_path):
    """Patience ends that run ten validations after the best one, and it keeps ten checkpoints."""
    settings = load_settings(MidtrainSettings, CONFIGS / "must_c.yaml", [])
    assert settings.validate_every == settings.checkpoint_every and settings.export == "average"
    losses = [abs(step - 14) + 1.0 for step in range(1, 60)]
    run = save_run(tmp_path, losses, settings.keep_checkpoints, settings.patience)
    assert run.load_latest()["step"] == 14 + settings.patience
    assert steps(run.select("average")) == list(range(5, 15))
    assert steps(run.scheduled()) == list(range(5, 25))


@pytest.mark.parametrize(
    "losses, patience, averaged, kept",
    [
        ([5, 4, 3, 2, 1], 2, [3, 4, 5], [3, 4, 5]),  # ended by its steps, at its best
        ([5, 4, 3, 2, 3], 2, [2, 3, 4], [2, 3, 4, 5]),  # ended by its steps, after its best
        ([5, 4, 3, 4, 4, 1], 3, [4, 5, 6], [4, 5, 6]),  # a new best before patience ends
        ([5, 4, 3, 4, 4, 4, 4], 4, [1, 2, 3], [1, 2, 3, 5, 6, 7]),  # patience is longer than the mean
        ([1, 2, 3, 4], 3, [1], [1, 2, 3, 4]),  # there are not more up to the best one
        ([5, 4, 1, 2, 2, 2], 0, [4, 5, 6], [3, 4, 5, 6]),  # without patience: the last; `best` is kept beside them
        ([torch.nan] * 4, 3, [1, 2, 3], [1, 2, 3]),  # no best
    ],
)
def test_runs_keep_what_the_mean_needs(tmp_path, losses, patience, averaged, kept):
    run = save_run(tmp_path, losses, keep=3, patience=patience)
    assert steps(run.select("average")) == averaged and steps(run.scheduled()) == kept


def test_a_best_checkpoint_off_the_schedule_is_averaged(tmp_path):
    run = save_run(tmp_path, [9, 8, 7, 6, 5, 6, 6], keep=2, patience=2, checkpoint_every=2)
    assert steps(run.select("average")) == [4, 5] and steps(run.extra()) == [5]
    assert steps(Checkpoints(tmp_path, keep=2, patience=0).select("average")) == [6, 7]


def test_a_run_without_a_finite_loss_has_no_best(tmp_path):
    run = save_run(tmp_path, [torch.inf, torch.nan], keep=3, patience=0)
    with pytest.raises(InputError, match="no checkpoint for `best` here; no validation has had a finite loss yet"):
        run.select("best")
