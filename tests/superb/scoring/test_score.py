"""The command that scores predict.zip: the same figures from folder and zip, and one line for what is wrong."""

import json
import zipfile

import h5py
import numpy as np
import pytest

from mmpt.scripts.superb.score import main


@pytest.fixture
def bundle(tmp_path):
    """Three of the five tasks, two items each, and their truths beside."""
    root, truth = tmp_path / "bundle", tmp_path / "truth"
    for name, text in {
        "ks_public/predict.txt": "up-a.wav up\nno-b.wav up\n",
        "pr_public/predict.ark": "u1 AH0 B\nu2\n",
    }.items():
        (root / "predict" / name).parent.mkdir(parents=True)
        (root / "predict" / name).write_text(text)
    (truth / "test").mkdir(parents=True)
    (truth / "dev").mkdir()
    (truth / "test_truth.txt").write_text("up-a.wav up\nno-b.wav no\n")
    (truth / "test-ref.ark").write_text("u1 AH0 B\nu2 T T\n")
    for split in ("test", "dev"):
        (truth / split / "rttm").write_text(f"SPEAKER {split}_0 1 0.0 1.0 <NA> <NA> A <NA> <NA>\n")
        folder = root / ("predict/sd_public/scoring/predictions" if split == "test" else "dev/sd")
        folder.mkdir(parents=True)
        with h5py.File(folder / f"{split}_0.h5", "w") as file:
            file["T_hat"] = np.full((25, 2), [0.65, 0.1] if split == "test" else [0.45, 0.1])
        (folder.parents[1] / "frame_shift" if split == "test" else folder / "frame_shift").write_text("640\n")
    return root, truth


def test_scores_of_a_folder_and_of_a_zip_file(bundle, tmp_path, capsys):
    root, truth = bundle
    assert main([str(root), "--truth", str(truth)]) == 0
    content = json.loads((root / "score.json").read_text())
    assert {task: entry["value"] for task, entry in content["scores"].items()} == {"ks": 0.5, "pr": 0.5, "sd": 0.0}
    assert content["superb_s"] is None
    assert "superb_s needs all of" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "predict.zip", "w") as archive:
        for file in sorted((root / "predict").rglob("*")):
            archive.write(file, file.relative_to(root))
    assert main([str(tmp_path / "predict.zip"), "--truth", str(truth), "--json", str(tmp_path / "z.json")]) == 0
    assert json.loads((tmp_path / "z.json").read_text())["scores"] == content["scores"]


def test_the_setting_that_dev_chooses_stands_beside_the_best_on_test(bundle):
    root, truth = bundle
    main([str(root), "--truth", str(truth)])
    found = json.loads((root / "score.json").read_text())["diarization"]
    assert len(found["settings"]) == 10
    assert found["chosen_on_dev"]["threshold"] < 0.45  # above it, dev hears nobody
    assert found["chosen_on_dev"]["der_on_dev"] == pytest.approx(0.0)


def test_an_unknown_id_is_named_and_the_rest_is_scored(bundle, capsys):
    root, truth = bundle
    (root / "predict/ks_public/predict.txt").write_text("other.wav up\n")
    assert main([str(root), "--truth", str(truth)]) == 1
    assert "ks: 'other.wav' is not in the truth" in capsys.readouterr().out
    assert json.loads((root / "score.json").read_text())["scores"].keys() == {"pr", "sd"}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere", "--truth", "."], "holds neither predict.zip nor predict/"),
        (["{root}", "--truth", "nowhere"], "no such file or folder"),
    ],
)
def test_bad_input_is_one_line(bundle, capsys, arguments, message):
    assert main([part.format(root=bundle[0]) for part in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_truths_that_disagree_are_refused(bundle, capsys):
    root, truth = bundle
    (truth / "dev" / "test_truth.txt").write_text("up-a.wav no\n")
    assert main([str(root), "--truth", str(truth)]) == 2
    assert "disagrees about 'up-a.wav'" in capsys.readouterr().err
