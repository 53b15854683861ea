"""The counts of what S3PRL drops silently, one by one (whole runs: test_launcher_stock_runs.py)."""

import json
from argparse import Namespace

import pytest
import torch

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import launcher, repairs
from mmpt.upstream.s3prl_runner.experiment import dev_curve, newest_checkpoint
from mmpt.upstream.s3prl_runner.tasks import superb_task
from mmpt.upstream.s3prl_runner.watch import SCORES, TALLY, Watch


@pytest.fixture
def runner():
    repairs.apply()
    import s3prl.downstream.runner

    return s3prl.downstream.runner


@pytest.fixture
def watch(runner, tmp_path):
    """A watch; stopped while the test's folder is still there, since it may write its counts."""
    watch = Watch()
    watch.start()
    yield watch
    if "print" in vars(runner):
        watch.stop()


class Head(torch.nn.Module):
    """A downstream expert with loaders of given lengths."""

    def __init__(self, **loaders):
        super().__init__()
        self.loaders = loaders

    def get_dataloader(self, split):
        return self.loaders[split]


def meet(runner, folder, head, past=None, upstream=None):
    """Make the parts as Runner.__init__ does; return the downstream expert that the runner would use."""
    this = Namespace(args=Namespace(expdir=str(folder), past_exp=past), init_ckpt={})
    this._load_weight = lambda model, name: None
    runner.Runner._init_model(this, upstream or torch.nn.Linear(1, 1), "Upstream", False, [])
    return runner.Runner._init_model(this, head, "Downstream", True, ["get_dataloader"]).model


def test_features_that_the_upstream_does_not_have_are_refused(watch, runner):
    """S3PRL would print a warning, and train on the sum of all layers."""
    this = Namespace(args=Namespace(upstream_feature_selection="hidden_sates"), init_ckpt={})
    this._load_weight = lambda model, name: None
    featurizer = torch.nn.Linear(1, 1)
    featurizer.feature_selection = "hidden_states"
    with pytest.raises(InputError, match="-s hidden_sates: the upstream has no such features; hidden_states are all"):
        runner.Runner._init_model(this, featurizer, "Featurizer", True, [])
    this.args.upstream_feature_selection = "hidden_states"
    assert runner.Runner._init_model(this, featurizer, "Featurizer", True, []).model is featurizer


def by_hand(labels, states) -> bool:
    """Return True if CTC finds no path, which makes the loss infinite."""
    log_probs = torch.zeros(states, 1, 5).log_softmax(-1)
    return bool(
        torch.nn.CTCLoss(zero_infinity=False)(
            log_probs, torch.tensor([labels]), torch.tensor([states]), torch.tensor([len(labels)])
        ).isinf()
    )


def test_unalignable_utterances_are_those_of_infinite_loss(watch, tmp_path, runner):
    meet(runner, tmp_path, Head())
    cases = [
        ([1, 2, 3], 3),
        ([1, 2, 3], 2),
        ([1, 1], 2),
        ([1, 1], 3),
        ([2], 1),
        ([1, 1, 1, 2, 2], 8),
        ([1, 1, 1, 2, 2], 7),
    ]
    expected = sum(by_hand(*case) for case in cases)
    assert expected == 3
    watch.counts["ctc"].clear()
    longest = max(len(labels) for labels, _ in cases)
    targets = torch.tensor([labels + [0] * (longest - len(labels)) for labels, _ in cases])
    loss = torch.nn.CTCLoss(zero_infinity=True)
    sizes = torch.tensor([states for _, states in cases]), torch.tensor([len(labels) for labels, _ in cases])
    value = loss(torch.zeros(8, len(cases), 5).log_softmax(-1), targets, *sizes)
    assert value.isfinite() and watch.counts["ctc"]["train"] == {"utterances": 7, "unalignable": 3}
    watch.split = "test"
    loss.eval()(torch.zeros(8, len(cases), 5).log_softmax(-1), targets, *sizes)
    assert (
        watch.counts["ctc"]["test"] == {"utterances": 7, "unalignable": 3}
        and watch.counts["ctc"]["train"]["utterances"] == 7
    )


def test_each_evaluation_counts_from_zero(watch, tmp_path, runner):
    head = meet(runner, tmp_path, Head(dev=[1], train=[1]))
    watch.counts["ctc"] = {"dev": {"utterances": 9, "unalignable": 1}, "train": {"utterances": 9, "unalignable": 1}}
    assert len(head.get_dataloader("dev")) == 1 and "dev" not in watch.counts["ctc"]
    head.get_dataloader("train")
    assert watch.counts["ctc"]["train"]["utterances"] == 9


def test_nothing_to_train_on_is_an_error_instead_of_an_endless_loop(watch, tmp_path, runner):
    head = meet(runner, tmp_path, Head(train=[], dev=[]))
    with pytest.raises(InputError, match="no whole batch"):
        head.get_dataloader("train")
    with pytest.raises(InputError, match="split dev is empty"):
        head.get_dataloader("dev")


def test_the_runner_can_still_ask_for_an_epoch(watch, tmp_path, runner):
    """The runner learns from the text of a TypeError whether a task takes `epoch` (s3prl/downstream/runner.py:279)."""
    head = meet(runner, tmp_path, Head(train=[1]))
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        head.get_dataloader("train", epoch=0)


def test_dropped_batches_and_steps_are_counted_and_stored(watch, tmp_path, runner, capsys):
    meet(runner, tmp_path, Head())
    runner.print("[Runner] - CUDA out of memory at step 3")
    runner.print("[Runner] - grad norm is NaN at step 4")
    runner.print("[Runner] - grad norm is NaN at step 5")
    runner.print("something else")
    assert "out of memory at step 3" in capsys.readouterr().out
    torch.save({}, str(tmp_path / "states-5.ckpt"))
    assert json.loads((tmp_path / TALLY).read_text()) == {"dropped_batches": 1, "nan_steps": 2, "ctc": {}}
    meet(runner, tmp_path, Head(), past="states-5.ckpt")
    runner.print("[Runner] - CUDA out of memory at step 6")
    watch.stop()
    assert json.loads((tmp_path / TALLY).read_text())["dropped_batches"] == 2


def test_the_names_are_given_back(runner):
    before = runner.SummaryWriter, runner.Runner._init_model, torch.nn.CTCLoss.forward, torch.save
    watch = Watch()
    watch.start()
    assert runner.SummaryWriter is not before[0] and torch.save is not before[3]
    watch.stop()
    assert before == (
        runner.SummaryWriter,
        runner.Runner._init_model,
        torch.nn.CTCLoss.forward,
        torch.save,
    ) and "print" not in vars(runner)


def test_scores_of_lost_steps_are_left_out(tmp_path):
    lines = [(100, 0.1), (200, 0.2), (300, 0.9), (400, 0.95), (200, 0.25), (300, 0.3)]
    entries = [
        {"step": step, "name": name, "value": value}
        for step, value in lines
        for name in ("speech_commands/dev-acc", "speech_commands/dev-loss")
    ]
    (tmp_path / SCORES).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert dev_curve(tmp_path, "ks") == {100: 0.1, 200: 0.25, 300: 0.3}


def test_another_score_by_its_name(tmp_path):
    entries = [
        {"step": 9, "name": f"asr/dev-clean-{unit}", "value": value} for unit, value in (("wer", 99), ("uer", 60))
    ]
    (tmp_path / SCORES).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert dev_curve(tmp_path, "asr") == {9: 0.99}
    assert dev_curve(tmp_path, "asr", superb_task("asr").rate_score) == {9: 0.6}


def test_a_resume_takes_the_newest_whole_checkpoint(tmp_path):
    for name in ("states-100.ckpt", "states-200.ckpt", "dev-best.ckpt"):
        (tmp_path / name).write_bytes(b"")

    def read(path):
        if path.name == "states-200.ckpt":
            raise InputError("half")
        return {"Step": 150 if path.name == "dev-best.ckpt" else 100}

    assert newest_checkpoint(tmp_path, read).name == "dev-best.ckpt"
    (tmp_path / "dev-best.ckpt").unlink()
    assert newest_checkpoint(tmp_path, read).name == "states-100.ckpt"
    (tmp_path / "states-100.ckpt").unlink()
    with pytest.raises(InputError, match="half"):
        newest_checkpoint(tmp_path, read)


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path):
    repairs.repair_checkpoint_saving()
    target = tmp_path / "states-1.ckpt"
    torch.save({"Step": 1}, str(target))

    class Bomb:
        def __reduce__(self):
            raise RuntimeError("killed while saving")

    with pytest.raises(RuntimeError):
        torch.save({"Step": 2, "bomb": Bomb()}, str(target))
    assert torch.load(target, weights_only=True) == {"Step": 1}
    torch.save({"Step": 3}, tmp_path / "other.pt")
    assert torch.load(tmp_path / "other.pt", weights_only=True) == {"Step": 3}


def test_counts_are_written_at_the_end_of_a_run(capsys):
    """The lines on standard error; what did not happen is not mentioned."""
    cache = Namespace(read=1200, computed=3, root="states", held=2_500_000)
    ctc = {"train": {"utterances": 8, "unalignable": 2}, "dev": {"utterances": 4, "unalignable": 0}}
    seen = Namespace(counts={"dropped_batches": 5, "nan_steps": 7, "ctc": ctc}, upstream=Namespace(cache=cache))
    launcher._note_observations(seen)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        "[mmpt] dropped batches: 5",
        "[mmpt] nan steps: 7",
        "[mmpt] CTC, train: 25.0 % of utterances have more labels than the encoder has states, and do not count",
        "[mmpt] cache: 1,200 utterances read, 3 computed; states holds 2 MB",
    ]
    launcher._note_observations(Namespace(counts={"dropped_batches": 0, "nan_steps": 0, "ctc": {}}, upstream=None))
    assert capsys.readouterr().err == ""
