"""What `run_downstream.py` fills in of experiments that are there: evaluating, resuming, new names."""

import pytest

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.registration import UPSTREAM

from helpers.launcher_world import experiment, fill, make_world, settings, with_checkpoint


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path)


def test_names_never_meet_an_existing_experiment(world):
    experiment(world, "ks_fbank", "states-2.ckpt")
    experiment(world, "ks_fbank-3")
    plan = fill("-u fbank -d ks", world)
    assert plan.values["expname"] == "ks_fbank-4" and "ks_fbank-3 is kept" in "\n".join(plan.notes)
    assert fill("-u fbank -d ks -o args.expdir='/x/y'", world).expdir == "/x/y"


def test_auto_resume_continues_the_newest_experiment(world):
    assert "past_exp" not in fill("-u fbank -d asr -a", world).values
    experiment(world, "asr_fbank-2", "states-2.ckpt", "states-10.ckpt")
    plan = fill("-u fbank -d asr -a", with_checkpoint(world, expdir="result/downstream/asr_fbank-2"))
    folder = world.folder / "result/downstream/asr_fbank-2"
    assert plan.values["past_exp"] == str(folder / "states-10.ckpt") and plan.expdir == "result/downstream/asr_fbank-2"
    assert plan.values["override"] is None and "auto_resume" not in plan.values


def test_auto_resume_needs_a_checkpoint_and_takes_a_named_experiment(world):
    experiment(world, "mine", "states-3.ckpt")
    experiment(world, "begun")
    experiment(world, "best", "dev-best.ckpt")
    stored = with_checkpoint(world, expdir="result/downstream/mine")
    plan = fill("-u fbank -d asr -a -n mine", stored)
    assert plan.values["past_exp"].endswith("result/downstream/mine/states-3.ckpt")
    assert "resuming result/downstream/mine" in plan.notes and "no effect with -e" not in "\n".join(plan.notes)
    for line, message in (
        ("-u mel -d asr", "is of --upstream fbank, not of mel"),
        ("-u fbank -d ks", "is of --downstream asr, not of"),
    ):
        with pytest.raises(InputError, match=message):
            fill(f"{line} -a -n mine", stored)
    assert "past_exp" not in fill("-u fbank -d asr -a -n begun", world).values
    best = with_checkpoint(world, expdir="result/downstream/best")
    assert fill("-u fbank -d asr -a -n best", best).values["past_exp"].endswith("best/dev-best.ckpt")
    assert "past_exp" not in fill("-u mmpt_av -d asr -a", world).values


def test_a_file_is_evaluated_and_other_options_have_no_effect(world):
    folder = experiment(world, "a", "states-2.ckpt", "states-4.ckpt")
    plan = fill(f"-m evaluate -e {folder / 'states-2.ckpt'} -u fbank", with_checkpoint(world))
    assert plan.values["past_exp"] == str(folder / "states-2.ckpt")
    assert "--upstream has no effect with -e" in "\n".join(plan.notes)


def test_a_task_of_s3prl_alone_is_evaluated_as_it_is(world):
    folder = experiment(world, "a", "states-2.ckpt")
    line = f"-m evaluate -e {folder / 'states-2.ckpt'} --data-root {world.samples()}"
    plan = fill(line, with_checkpoint(world, downstream="mosei"))
    assert plan.task is None and plan.values["override"] is None


def test_a_lost_encoder_of_an_experiment_is_named_unless_another_is_given(world, tmp_path):
    experiment(world, "a", "states-2.ckpt")
    stored = with_checkpoint(world, upstream=UPSTREAM, upstream_ckpt="/gone/encoder.pt")
    with pytest.raises(InputError, match="/gone/encoder.pt: the encoder of .* is gone; name it with -o args.upstream"):
        fill("-e result/downstream/a", stored)
    fill("-e result/downstream/a -o args.upstream_ckpt=/other.pt", stored)


def test_evaluating_a_folder_takes_the_best_checkpoint(world):
    folder = experiment(world, "a", "states-2.ckpt")
    plan = fill("-m evaluate -e result/downstream/a", with_checkpoint(world))
    assert plan.values["past_exp"] == str(folder / "states-2.ckpt") and "LAST" in "\n".join(plan.notes)
    assert (
        plan.values["evaluate_split"] == "test-clean"
        and "config" not in plan.values
        and plan.values["override"] is None
    )
    (folder / "dev-clean-best.ckpt").write_bytes(b"")
    plan = fill("-m evaluate -e result/downstream/a -t test-other", with_checkpoint(world))
    assert (
        plan.values["past_exp"] == str(folder / "dev-clean-best.ckpt") and plan.values["evaluate_split"] == "test-other"
    )


def test_a_moved_experiment_is_evaluated_where_it_lies(world):
    folder = experiment(world, "moved", "dev-best.ckpt")
    plan = fill(
        "-m evaluate -e result/downstream/moved", with_checkpoint(world, downstream="ctc", expdir="result/downstream/a")
    )
    assert settings(plan) == {"args.expdir": str(folder), "config.downstream_expert.corpus.num_workers": 4}
    assert plan.values["evaluate_split"] == "test" and plan.expdir == str(folder)


def test_an_evaluation_may_write_elsewhere(world):
    experiment(world, "a", "dev-clean-best.ckpt")
    assert fill("-m evaluate -e result/downstream/a -o args.expdir=/x/y", with_checkpoint(world)).expdir == "/x/y"
    assert fill("-m evaluate -e result/downstream/a", with_checkpoint(world)).expdir == "result/downstream/a"


def test_a_data_root_leads_an_evaluation_to_moved_data(world):
    experiment(world, "a", "dev-clean-best.ckpt")
    plan = fill(f"-m evaluate -e result/downstream/a --data-root {world.samples()}", with_checkpoint(world))
    assert settings(plan)["config.downstream_expert.datarc.libri_root"] == str(world.samples() / "LibriSpeech")
