"""The settings of the tasks beyond the five: S3PRL's own numbers, read in its git tree."""

import pytest
import yaml

from mmpt.upstream.s3prl_runner import data
from mmpt.upstream.s3prl_runner.tasks import OTHER_TASKS, find_stock_task, find_task

ADAM = {"name": "TorchOptim", "torch_optim_name": "Adam", "lr": 1e-4}
# lr apart: total_steps, eval_step, save_step, log_step, gradient_accumulate_steps, gradient_clipping, max_keep
RUNNER = ("total_steps", "eval_step", "save_step", "log_step", "gradient_accumulate_steps", "gradient_clipping")
PUBLISHED = {
    "sid": (ADAM, (200000, 4000, 1000, 500, 4, 1), 1, ["dev", "test"]),
    "er": (ADAM, (30000, 1000, 1000, 500, 8, 1), 1, ["dev", "test"]),
    "sf": (ADAM, (200000, 2000, 500, 100, 1, 1), 1, ["dev"]),
    "asv": ({**ADAM, "torch_optim_name": "AdamW"}, (200000, 10000, 10000, 500, 5, 1000), 20, []),
    "se": ({"name": "AdamW", "lr": 1e-3}, (100000, 1250, 10000, 1250, 1, 1), 100, ["dev"]),
    "ss": ({"name": "AdamW", "lr": 1e-3}, (150000, 2000, 10000, 2000, 1, 1), 100, ["dev"]),
}
NAMES = [task.name for task in OTHER_TASKS]


def read(name):
    return yaml.safe_load((data.configs_folder() / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", PUBLISHED)
def test_steps_and_optimizer_are_s3prls(name):
    config, (optimizer, runner, max_keep, splits) = read(name), PUBLISHED[name]
    assert config["optimizer"] == optimizer
    assert tuple(config["runner"][key] for key in RUNNER) == runner
    assert config["runner"]["max_keep"] == max_keep and config["runner"]["eval_dataloaders"] == splits


def test_heads_and_batches_are_s3prls():
    mean = {"projector_dim": 256, "select": "UtteranceLevel", "UtteranceLevel": {"pooling": "MeanPooling"}}
    experts = {name: read(name)["downstream_expert"] for name in NAMES}
    assert experts["sid"]["modelrc"] == experts["er"]["modelrc"] == mean
    assert [experts["sid"]["datarc"][key] for key in ("train_batch_size", "max_timestep")] == [8, 128000]
    assert [experts["er"]["datarc"][key] for key in ("train_batch_size", "valid_ratio")] == [4, 0.2]
    assert experts["sf"]["model"]["RNNs"] == read("asr")["downstream_expert"]["modelrc"]["RNNs"]
    assert len({*experts["sf"]["corpus"]["train_speakers"]}) == 8 and experts["sf"]["corpus"]["batch_size"] == 32
    assert experts["asv"]["modelrc"]["LossConfig"]["AMSoftmaxLoss"] == {"s": 30.0, "m": 0.4}
    assert experts["asv"]["modelrc"]["module_config"]["XVector"]["agg_dim"] == 1500
    assert experts["qbe"]["dtwrc"]["dist_method"] == "cosine_exp" and experts["qbe"]["feature_normalization"]
    for name, window in (("se", 400), ("ss", 1024)):
        assert experts[name]["datarc"]["win_length"] == window and experts[name]["modelrc"]["hidden_size"] == 256


@pytest.mark.parametrize("name", NAMES)
def test_every_path_is_left_to_the_launcher(name):
    found = data.placeholders(read(name))
    assert data.corpora(found) and all(str(value).startswith(data.PLACEHOLDER) for value in found.values())


def test_letters_are_s3prls_vocabulary():
    letters = (data.configs_folder() / "vocabulary" / "letter.txt").read_text().splitlines()
    assert letters == [" ", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]


def test_the_corpus_tells_the_tasks_of_ctc_apart():
    assert find_stock_task("ctc").name == "pr" and find_stock_task("ctc", "snips").name == "sf"
    assert find_stock_task("ctc", "librispeech") is None and find_task("sf") is None and find_task("sid") is None
