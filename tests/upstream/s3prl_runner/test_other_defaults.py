"""What `run_downstream.py` fills in for the tasks beyond the five; neither torch nor S3PRL takes part."""

import pytest

from mmpt.scripts.prepare.iemocap_sessions import write_sessions
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import arguments, data, defaults, overrides
from mmpt.upstream.s3prl_runner.tasks import OTHER_TASKS

from helpers.other_corpora import other_corpora


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Make a working directory with the corpora in `noise`."""
    folder = tmp_path_factory.mktemp("work")
    other_corpora(folder / "noise")
    write_sessions(folder / "noise/IEMOCAP", folder / "noise/IEMOCAP/meta_data")

    def absent(*_):
        raise AssertionError("neither samples nor a checkpoint are needed")

    return defaults.Surroundings(folder, {}, absent, lambda: "cpu", absent)


def fill(line, world):
    return defaults.fill(arguments.parse(line.split(), "run_downstream.py"), world)


@pytest.mark.parametrize("task", OTHER_TASKS, ids=lambda task: task.name)
def test_a_short_name_is_enough(task, world):
    line = "" if task.trains else " -m evaluate -l -1"
    plan = fill(f"-u fbank -d {task.name} --data-root noise{line}", world)
    assert plan.task == task and plan.values["downstream"] == task.downstream
    assert plan.values["config"] == str(data.configs_folder() / f"{task.name}.yaml")
    assert plan.values["expname"] == f"{task.name}_fbank"
    filled = [item for key, item in overrides.read(plan.values["override"]).items() if "runner" not in key]
    assert filled and all(data.PLACEHOLDER not in item for item in filled)
    if task.downstream != "ctc":
        assert fill(f"-u fbank -d {task.downstream} --data-root noise{line}", world).values == plan.values


def test_ctc_with_the_settings_of_sf_is_sf(world):
    """PR's paths must not be set in them."""
    plan = fill(f"-u fbank -d ctc -c {data.configs_folder() / 'sf.yaml'} --data-root noise", world)
    given = overrides.read(plan.values["override"])
    assert plan.task.name == "sf" and plan.values["expname"] == "sf_fbank"
    assert not [key for key in given if "lexicon" in key]
    assert given["config.downstream_expert.corpus.path"] == repr(str(world.folder / "noise/SNIPS"))


@pytest.mark.parametrize("name, kept", [("sid", "2"), ("asv", None)])
def test_no_more_than_one_checkpoint_at_a_time_is_at_risk(name, kept, world):
    """ASV's checkpoints are all kept: the best is found among them."""
    given = overrides.read(fill(f"-u fbank -d {name} --data-root noise", world).values["override"])
    assert given.get("config.runner.max_keep") == kept


@pytest.mark.parametrize(
    "line, message",
    [
        ("-d qbe", "has nothing to train: add -m evaluate"),
        ("-d qbe -m evaluate", "add -l LAYER"),
        ("-d sid -m evaluate", "needs a trained head"),
        ("-d sif", "did you mean"),
    ],
)
def test_what_cannot_run_is_refused(line, message, world):
    with pytest.raises(InputError, match=message):
        fill(f"-u fbank {line} --data-root noise", world)


def test_without_data_nothing_is_built(world):
    with pytest.raises(InputError, match="there are no samples for this task: .*--data-root"):
        fill("-u fbank -d sid", world)


@pytest.mark.parametrize(
    "name, file, hint",
    [
        ("sid", "VoxCeleb1/iden_split.txt", "robots.ox.ac.uk"),
        ("asv", "VoxCeleb1/voxceleb1_test_v2.txt", "openslr.org/resources/49"),
        ("er", "IEMOCAP/meta_data", "python scripts/prepare/iemocap_sessions.py --root"),
    ],
)
def test_a_missing_list_is_named_with_its_source(name, file, hint, world, tmp_path):
    (tmp_path / file).parent.mkdir()
    with pytest.raises(InputError, match=f"{file}: not found; .*{hint}"):
        fill(f"-u fbank -d {name} --data-root {tmp_path}", world)


def test_the_cache_is_for_the_five(world, tmp_path):
    with pytest.raises(InputError, match="--cache is for"):
        fill(f"-u mmpt_av -d sid -k {__file__} --data-root noise --cache {tmp_path}", world)
