"""The values that `run_downstream.py` fills in, and its notes and errors; neither torch nor S3PRL takes part."""

import ast
import importlib.util
import os
import re
from pathlib import Path

import pytest

from mmpt.upstream import repository
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import arguments, data, defaults, overrides
from mmpt.upstream.s3prl_runner.registration import UPSTREAM

from helpers.launcher_world import experiment, fill, make_world, read_nothing, settings, with_checkpoint
from helpers.stock_mocks import librispeech, mark_as_samples, speech_commands


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path)


def test_the_typed_command_is_filled_in(world):
    plan = fill("-u mmpt_av -d asr", world)
    samples = world.samples()
    assert plan.values["mode"] == "train" and plan.values["device"] == "cpu"
    assert plan.values["upstream_ckpt"] == str(world.folder / "runs/clr/encoder.pt")
    assert plan.values["config"] == str(data.configs_folder() / "quick" / "asr.yaml")
    assert plan.values["expname"] == "asr_mmpt_av_clr" and plan.expdir == "result/downstream/asr_mmpt_av_clr"
    found = settings(plan)
    assert found["config.downstream_expert.datarc.libri_root"] == str(samples / "LibriSpeech")
    assert found["config.downstream_expert.datarc.bucket_file"] == str(samples / "LibriSpeech" / "len_for_bucket")
    assert Path(found["config.downstream_expert.datarc.dict_path"]).is_file()
    notes = "\n".join(plan.notes)
    for word in ("runs/clr/encoder.pt", "the built samples", "quick/asr.yaml", "result/downstream/asr_mmpt_av_clr"):
        assert word in notes


@pytest.mark.parametrize(
    "name, stock", [("ks", "speech_commands"), ("ic", "fluent_commands"), ("pr", "ctc"), ("sd", "diarization")]
)
def test_both_names_of_a_task_are_one(world, name, stock):
    plans = [fill(f"-u fbank -d {typed}", world) for typed in (name, stock)]
    assert plans[0].values == plans[1].values
    assert plans[0].values["downstream"] == stock and plans[0].values["expname"] == f"{name}_fbank"


def test_given_values_stay(world):
    (world.folder / "mine.yaml").write_text("runner: {}\n")
    line = (
        "-m train -u fbank -d ks -n mine -c mine.yaml --device cuda:1 --seed 7 -s fbank -l 3 -f -t dev "
        "-o config.runner.total_steps=2"
    )
    plan = fill(line, world)
    given = arguments.parse(line.split())
    assert {key: plan.values[key] for key in given if key not in ("downstream", "override")} == {
        key: given[key] for key in given if key not in ("downstream", "override")
    }
    assert plan.values["override"] == "config.runner.total_steps=2"  # a YAML without /path/to/ stays as it is


def test_the_users_overrides_win(world, tmp_path):
    key = "config.downstream_expert.datarc.speech_commands_root"
    plan = fill(f"-u fbank -d ks -o {key}=/mine,,config.optimizer.lr=1e-3", world)
    assert plan.values["override"].endswith(f"{key}=/mine,,config.optimizer.lr=1e-3")
    assert plan.values["override"].count(key) == 1
    assert settings(plan)["config.downstream_expert.datarc.num_workers"] == 0


def test_no_samples_are_built_if_all_data_are_named(world):
    keys = ("speech_commands_root", "speech_commands_test_root")
    named = ",,".join(f"config.downstream_expert.datarc.{key}=/mine" for key in keys)
    plan = fill(
        f"-u fbank -d ks -o {named}", defaults.Surroundings(world.folder, {}, read_nothing, world.device, read_nothing)
    )
    assert (
        plan.values["config"].endswith("downstream_configs/ks.yaml")
        and plan.values["override"] == "config.runner.max_keep=2,," + named
    )


def test_overrides_survive_any_path(tmp_path):
    awkward = "/data/a=b,,c 'd\"/x"
    merged = overrides.merge({"config.a": awkward, "config.b": [awkward, "/y"]}, "none")
    parts = [part.split("=") for part in merged.split(",,")]  # like s3prl/utility/helper.py:75
    assert [(key, ast.literal_eval(item)) for key, item in parts] == [
        ("config.a", awkward),
        ("config.b", [awkward, "/y"]),
    ]
    assert overrides.merge({}, None) is None


def test_the_encoder_comes_from_the_environment_or_the_newest_run(world, tmp_path):
    newer = world.folder / "runs" / "st" / "it" / "encoder.pt"
    newer.parent.mkdir(parents=True)
    newer.write_bytes(b"")
    os.utime(newer, (2e9, 2e9))
    assert fill("-u mmpt_av -d ks", world).values["upstream_ckpt"] == str(newer)
    (tmp_path / "named.pt").write_bytes(b"")
    named = defaults.Surroundings(
        world.folder, {"MMPT_AV_CKPT": "../named.pt"}, world.samples, world.device, read_nothing
    )
    plan = fill("-u mmpt_av -d ks", named)
    assert (
        Path(plan.values["upstream_ckpt"]).samefile(tmp_path / "named.pt")
        and Path(plan.values["upstream_ckpt"]).is_absolute()
    )
    assert plan.values["expname"] == "ks_mmpt_av_named" and "$MMPT_AV_CKPT" in "\n".join(plan.notes)
    assert (
        fill("-u mmpt_av -d ks -k runs/clr/encoder.pt", named).values["upstream_ckpt"].endswith("runs/clr/encoder.pt")
    )


def test_a_data_root_precedes_data_yaml_which_precedes_the_samples(world, tmp_path):
    real, other = tmp_path / "real", tmp_path / "other"
    for root in (real, other):
        speech_commands(root)
    (world.folder / "data.yaml").write_text(
        f"ks: {real}\nspeech_commands_test_set_v0.01: ../other/speech_commands_test_set_v0.01\n"
    )
    keys = [f"config.downstream_expert.datarc.speech_commands_{part}" for part in ("root", "test_root")]
    from_file, from_flag = fill("-u fbank -d ks", world), fill(f"-u fbank -d ks --data-root {other}", world)
    assert settings(from_file)[keys[0]] == str(real / "speech_commands_v0.01")
    assert Path(settings(from_file)[keys[1]]).samefile(other / "speech_commands_test_set_v0.01")
    assert [Path(settings(from_flag)[key]).parent for key in keys] == [other, other]
    for plan in (from_file, from_flag):  # real data: the full settings and their own workers
        assert plan.values["config"] == str(data.configs_folder() / "ks.yaml")
        assert "config.downstream_expert.datarc.num_workers" not in settings(plan)
    assert str(world.samples()) in fill("-u fbank -d ic", world).values["override"]  # data.yaml does not name ic's


def test_samples_named_as_a_data_root_are_still_samples(world):
    assert "quick" in fill(f"-u fbank -d ks --data-root {world.samples()}", world).values["config"]


def test_full_samples_have_longer_settings_and_the_notes_tell(world):
    mark_as_samples(world.samples(), "full")
    plan = fill("-u fbank -d ks", world)
    assert plan.values["config"] == str(data.configs_folder() / "evening" / "ks.yaml")
    assert "settings: downstream_configs/evening/ks.yaml" in "\n".join(plan.notes)


def test_a_second_corpus_inside_the_samples_is_of_the_samples_too(world):
    mark_as_samples(world.samples(), "small")
    inner = world.samples() / "mrt"
    speech_commands(inner)
    assert "quick" in fill(f"-u fbank -d ks --data-root {inner}", world).values["config"]


def test_a_folder_without_our_manifest_holds_no_samples(world, tmp_path):
    speech_commands(tmp_path / "real")
    (tmp_path / "real" / "built.json").write_text('{"format": "another"}')
    assert fill(f"-u fbank -d ks --data-root {tmp_path / 'real'}", world).values["config"].endswith("configs/ks.yaml")


def test_phone_lexicons_are_found_or_their_source_is_named(world, tmp_path):
    key = "config.downstream_expert.corpus.lexicon"
    assert settings(fill("-u fbank -d pr", world))[key] == [
        str(world.samples() / "LibriSpeech/lexicon/samples-lexicon.txt")
    ]
    librispeech(tmp_path / "real", lexicon="librispeech-lexicon-200k-g2p.txt")
    with pytest.raises(
        InputError, match="allothers-g2p.txt: not found; download it from https://huggingface.co/.*allothers-g2p.txt"
    ):
        fill(f"-u fbank -d pr --data-root {tmp_path / 'real'}", world)


def test_a_task_without_a_configuration_of_ours_needs_one(world):
    with pytest.raises(InputError, match="-d mosei: we have no configuration for it; give one with -c"):
        fill("-u fbank -d mosei", world)


def test_a_missing_s3prl_is_no_unknown_task(world, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="s3prl is not installed"):
        fill("-u fbank -d mosei", world)


def test_torchrun_sets_the_rank(world):
    ranked = defaults.Surroundings(world.folder, {"LOCAL_RANK": "1"}, world.samples, world.device, read_nothing)
    plan = fill("-u fbank -d ks -n both", ranked)
    assert plan.values["local_rank"] == 1 and plan.values["backend"] == "gloo"
    with pytest.raises(InputError, match="-n or -p is needed"):
        fill("-u fbank -d ks", ranked)


@pytest.mark.parametrize(
    "line, message",
    [
        ("-d ks", "-u is missing"),
        ("-u fbank", "-d is missing"),
        ("-u fbank -d icc", "did you mean ic?"),
        ("-u fbank -d mosei", "give one with -c"),
        ("-u fbank -d ks -c no.yaml", "no.yaml: No such file"),
        ("-u fbank -d ks --data-root /nowhere", "--data-root /nowhere: no such folder"),
        ("-u fbank -d ks --data-root .", "speech_commands_v0.01: not found"),
        ("-u fbank -d ks -o lr", "is not KEY=VALUE"),
        ("-u fbank -d ks -o config.a=b=c", "is not KEY=VALUE"),
        ("-u fbank -d ks -m evaluate", "needs a trained head"),
        ("-u mmpt_av -d ks -k no.pt", "no.pt: no such encoder"),
        ("-m evaluate -e no", "-e no: no such checkpoint"),
        ("-u fbank -d ks --frob", "unrecognized arguments: --frob"),
        ("-u fbank -d ks -m tran", "invalid choice: 'tran'"),
    ],
)
def test_bad_input_is_one_line(world, line, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        fill(line, world)
    assert "\n" not in str(caught.value)


def test_a_missing_encoder_is_an_error_that_names_the_ways_out(world, monkeypatch):
    monkeypatch.setattr(repository, "REPOSITORY", world.folder)  # without the repository's own encoder
    (world.folder / "runs" / "clr" / "encoder.pt").unlink()
    with pytest.raises(InputError, match="give -k FILE or set MMPT_AV_CKPT"):
        fill("-u mmpt_av -d ks", world)


@pytest.mark.parametrize(
    "text, message",
    [
        ("LibriSpech: .", "did you mean LibriSpeech?"),
        ("ks: nowhere", "ks: no such folder: nowhere"),
        ("- ks", "expected 'key: value' lines"),
        ("a: [", "not a YAML file"),
        ("speech_commands_v0.01: .", "does not tell where speech_commands_test_set_v0.01 lies"),
    ],
)
def test_a_mistake_in_data_yaml_is_named(world, text, message):
    (world.folder / "data.yaml").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        fill("-u fbank -d ks", world)


def test_missing_lengths_name_the_command_that_writes_them(world, tmp_path):
    (tmp_path / "real" / "LibriSpeech").mkdir(parents=True)
    with pytest.raises(InputError, match="python scripts/prepare/librispeech_lengths.py --root .*/real/LibriSpeech"):
        fill(f"-u fbank -d asr --data-root {tmp_path / 'real'}", world)


def stock_flags():
    """Yield each flag's names and action, read from the source of the stock parser."""
    source = Path(importlib.util.find_spec("s3prl").origin).parent / "run_downstream.py"
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            names = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            yield names, next((word.value.value for word in node.keywords if word.arg == "action"), None)


def test_every_stock_flag_is_known_and_handed_on():
    values = {}
    found = list(stock_flags())
    assert len(found) > 25
    for names, action in found:
        for name in names:
            value = {"--mode": "train", "-m": "train", "--hub": "torch"}.get(name, "1")
            given = arguments.parse([name] if action else [name, value])
            assert list(given) == [names[-1][2:]]
            values.update(given)
    argv = arguments.to_stock_argv(values)
    assert sorted(word.split("=")[0] for word in argv) == sorted(names[-1] for names, _ in found)
    assert arguments.parse(argv) == values


def test_help_shows_examples_and_the_places_of_data(capsys):
    with pytest.raises(SystemExit):
        arguments.parse(["--help"])
    text = capsys.readouterr().out
    for word in (
        "-u mmpt_av -d ks",
        "--data-root",
        "data.yaml",
        "-m evaluate -e",
        "OMP_NUM_THREADS",
        UPSTREAM,
        "--upstream_trainable",
    ):
        assert word in text


def test_options_of_the_cache_reach_the_expert_alone(world):
    plan = fill("-u mmpt_av -d ks --cache states --cache-dtype float32 --cache-limit 5", world)
    assert plan.options == {"cache_dir": str(world.folder / "states"), "cache_dtype": "float32", "cache_limit_gb": 5}
    assert not {"cache", "cache_dtype", "cache_limit"} & plan.values.keys()
    assert not any(word.startswith("--cache") for word in arguments.to_stock_argv(plan.values))
    assert fill("-u mmpt_av -d ks", world).options["cache_dir"] is None


@pytest.mark.parametrize(
    "line, message",
    [
        ("-u mmpt_av -d ks --cache states -f", "leave out either it or -f"),
        ("-u fbank -d ks --cache states -f", "leave out either it or -f"),
        ("-u me/mine -d ks --hub huggingface --cache states", "--cache cannot be used with --hub huggingface"),
        ("-u mmpt_av -d ks --cache-dtype float16", "--cache-dtype is without --cache"),
        ("-u mmpt_av -d ks --cache-limit 5", "--cache-limit is without --cache"),
        ("-u mmpt_av -d ks -g options.yaml -f", "leave out either it or -f"),
        ("-u mmpt_av -d ks -g absent.yaml", "-g absent.yaml: no such file"),
        ("-u mmpt_av -d sv_voxceleb1 -c own.yaml --cache states", "cut its sounds at random"),
        ("-m evaluate -e result/downstream/a --cache states", "leave out either it or -f"),
    ],
)
def test_a_cache_that_could_be_wrong_is_refused(world, line, message):
    (world.folder / "options.yaml").write_text("cache_dir: states\n")
    (world.folder / "own.yaml").write_text("runner: {}\n")
    experiment(world, "a", "dev-clean-best.ckpt")
    tuned = with_checkpoint(
        world, upstream=UPSTREAM, upstream_ckpt=str(world.folder / "runs/clr/encoder.pt"), upstream_trainable=True
    )
    with pytest.raises(InputError, match=message):
        fill(line, tuned)


def test_the_file_of_options_is_found_again_from_elsewhere(world):
    (world.folder / "options.yaml").write_text("frame_hop: 320\n")
    assert fill("-u mmpt_av -d ks -g options.yaml", world).values["upstream_model_config"] == str(
        world.folder / "options.yaml"
    )


def test_another_lexicon_is_taken_and_noted(world):
    (world.folder / "cmudict.dict").write_text("hello HH AH0 L OW1\n")
    plan = fill("-u fbank -d pr --lexicon cmudict.dict", world)
    found = settings(plan)
    assert found["config.downstream_expert.corpus.lexicon"] == [str(world.folder / "cmudict.dict")]
    assert found["config.downstream_expert.corpus.unknown_words"] == "SPN" and "not comparable" in "\n".join(plan.notes)
    for line, message in (
        ("-u fbank -d pr --lexicon absent", "--lexicon absent: no such file"),
        ("-u fbank -d ks --lexicon cmudict.dict", "alone"),
    ):
        with pytest.raises(InputError, match=message):
            fill(line, world)


def test_checkpoints_of_two_steps_are_kept(world):
    """S3PRL deletes the old checkpoint before it writes the new one."""
    assert settings(fill("-u fbank -d ks", world))["config.runner.max_keep"] == 2
    assert settings(fill("-u fbank -d ks -o config.runner.max_keep=1", world))["config.runner.max_keep"] == 1
