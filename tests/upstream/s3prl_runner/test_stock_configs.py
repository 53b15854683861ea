"""The settings of downstream_configs: S3PRL's own hyperparameters, and the few that the samples' may change."""

import pytest
import yaml

from mmpt.upstream.s3prl_runner.data import CORPORA, configs_folder, placeholders
from mmpt.upstream.s3prl_runner.tasks import TASKS

NAMES = [task.name for task in TASKS]
RUNNER = ("total_steps", "eval_step", "save_step", "log_step", "gradient_accumulate_steps")

# From S3PRL's git tree (its wheel has none of these files): lr, then RUNNER's keys, then the rest.
PUBLISHED = {
    "ks": (1e-4, (200000, 5000, 1000, 100, 1), ["dev", "test"]),
    "ic": (1e-4, (200000, 5000, 250, 100, 1), ["dev", "test"]),
    "pr": (1e-2, (100000, 1000, 100, 100, 2), ["dev"]),
    "sd": (1e-4, (30000, 500, 500, 500, 4), ["dev"]),
    "asr": (1e-4, (200000, 2000, 500, 100, 1), ["dev-clean"]),
}
UTTERANCE_HEAD = {"projector_dim": 256, "select": "UtteranceLevel", "UtteranceLevel": {"pooling": "MeanPooling"}}
RECURRENT = {
    "total_rate": -1,
    "module": "LSTM",
    "bidirection": True,
    "dim": [1024, 1024],
    "dropout": [0.2, 0.2],
    "layer_norm": [False, False],
    "proj": [False, False],
    "sample_rate": [1, 1],
    "sample_style": "concat",
}
HEADS = {
    "ks": ("modelrc", UTTERANCE_HEAD),
    "ic": ("modelrc", UTTERANCE_HEAD),
    "pr": ("model", {"project_dim": 256, "zero_infinity": True, "select": "FrameLevel"}),
    "sd": ("modelrc", {"rnn_layers": 1, "hidden_size": 512}),
    "asr": ("modelrc", {"project_dim": 1024, "select": "RNNs", "RNNs": RECURRENT}),
}
BATCHES = {
    "ks": {"datarc.batch_size": 32},
    "ic": {"datarc.train_batch_size": 32, "datarc.eval_batch_size": 32},
    "pr": {"corpus.batch_size": 16, "corpus.bucketing": True, "text.mode": "word"},
    "sd": {
        "loaderrc.train_batchsize": 8,
        "loaderrc.eval_batchsize": 1,
        "datarc.chunk_size": 2000,
        "datarc.frame_shift": None,
        "datarc.subsampling": 1,
        "datarc.label_delay": 0,
        "datarc.num_speakers": 2,
        "datarc.rate": 16000,
        "scorerc.save_predictions": True,
    },
    "asr": {
        "datarc.batch_size": 32,
        "datarc.eval_batch_size": 1,
        "datarc.zero_infinity": True,
        "datarc.train": ["train-clean-100"],
        "datarc.dev-clean": ["dev-clean"],
        "datarc.test-clean": ["test-clean"],
    },
}
SPECAUG = {
    "adaptive": False,
    "adaptive_number_ratio": 0.04,
    "adaptive_size_ratio": 0.04,
    "max_n_time_masks": 20,
    "apply_time_warp": True,
    "apply_time_mask": True,
    "apply_freq_mask": True,
    "time_warp_window": 5,
    "time_mask_width_range": [0, 40],
    "freq_mask_width_range": [0, 50],
    "num_freq_mask": 4,
    "num_time_mask": 2,
}

# Nothing else may change in downstream_configs/quick and evening: steps, batch, learning rate, and the size of the
# heads of ASR and SD. ASR has no SpecAugment.
QUICK_MAY_CHANGE = {f"runner.{key}" for key in ("total_steps", "eval_step", "save_step", "log_step")} | {"optimizer.lr"}
QUICK_MAY_CHANGE |= {f"downstream_expert.{key}" for keys in BATCHES.values() for key in keys if "batch" in key}
QUICK_MAY_CHANGE |= {f"downstream_expert.datarc.{key}" for key in ("train_batch_size",)}
HEAD_SIZES = {"sd": {"downstream_expert.modelrc.hidden_size"}, "asr": {"downstream_expert.modelrc.project_dim"}}
HEAD_SIZES["asr"] |= {
    f"downstream_expert.modelrc.RNNs.{key}" for key, item in RECURRENT.items() if isinstance(item, list)
}


def read(name, folder=""):
    return yaml.safe_load((configs_folder() / folder / f"{name}.yaml").read_text())


def flat(config, prefix=""):
    pairs = {}
    for key, value in config.items():
        pairs.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return pairs


@pytest.mark.parametrize("name", NAMES)
def test_hyperparameters_are_s3prls(name):
    config, values = read(name), flat(read(name))
    lr, steps, dev = PUBLISHED[name]
    assert config["optimizer"] == {"name": "TorchOptim", "torch_optim_name": "Adam", "lr": lr}
    assert tuple(config["runner"][key] for key in RUNNER) == steps
    assert config["runner"]["gradient_clipping"] == 1 and config["runner"]["max_keep"] == 1
    assert config["runner"]["eval_dataloaders"] == dev
    key, head = HEADS[name]
    assert config["downstream_expert"][key] == head
    for key, value in BATCHES[name].items():
        assert values[f"downstream_expert.{key}"] == value, key
    assert config.get("specaug") == (SPECAUG if name == "asr" else None) and "scheduler" not in config


def test_phone_recognition_keeps_the_best_phone_error():
    expert = read("pr")["downstream_expert"]
    assert (expert["save_best_on"], expert["metric"], expert["metric_higher_better"]) == (["dev"], ["per"], False)


@pytest.mark.parametrize("folder", ["quick", "evening"])
@pytest.mark.parametrize("name", NAMES)
def test_settings_for_the_samples_change_only_what_they_may(name, folder):
    full, quick = flat(read(name)), flat(read(name, folder))
    left_out = full.keys() - quick.keys()
    assert quick.keys() <= full.keys()
    assert {key.split(".")[0] for key in left_out} == ({"specaug"} if name == "asr" else set())
    changed = {key for key in quick if full[key] != quick[key]}
    assert changed <= QUICK_MAY_CHANGE | HEAD_SIZES.get(name, set())
    assert changed & {"runner.total_steps"}
    if name == "asr":  # lists have an item a layer
        layers = {len(value) for key, value in quick.items() if ".RNNs." in key and isinstance(value, list)}
        assert len(layers) == 1


@pytest.mark.parametrize("name", NAMES)
def test_data_paths_are_left_to_the_launcher(name):
    found = placeholders(read(name))
    texts = [text for value in found.values() for text in (value if isinstance(value, list) else [value])]
    assert any(text.split("/")[3] in CORPORA for text in texts)
    assert not [
        value for value in flat(read(name)).values() if str(value).startswith("/") and value not in found.values()
    ]


def test_character_dictionary_has_the_order_of_s3prls():
    lines = (configs_folder() / "vocabulary" / "character.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == "| E T A O N I H S R D L U M W C F G Y P B V K ' X J Q Z".split()
    assert all(line.split()[1].isdigit() for line in lines)


def test_asr_960_differs_from_asr_in_its_training_data_alone():
    ours, base = flat(read("asr_960")), flat(read("asr"))
    assert {key for key in base if ours[key] != base[key]} == {
        "downstream_expert.datarc.train"
    } and ours.keys() == base.keys()
    assert ours["downstream_expert.datarc.train"] == ["train-clean-100", "train-clean-360", "train-other-500"]
