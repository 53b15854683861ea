"""Kinetics-600, VoxCeleb2 and LRS3 as published: which files become clips, and in which split and group."""

import csv
from pathlib import Path

import pytest

from mmpt.pretrain.manifest import Clip, read_manifest
from mmpt.scripts.prepare import kinetics600, voxceleb2
from mmpt.scripts.prepare.lrs3 import main as prepare_lrs3

from helpers.corpus_mocks import lrs3, place

HEADER = "label,youtube_id,time_start,time_end,split\n"


def run(main, root: Path, *more: str) -> tuple[dict[str, Clip], dict[str, str]]:
    """The manifest by id and left_out.tsv by file, after a call that must go well."""
    out = root.parent / "out"
    assert main(["--root", str(root), "--out", str(out), *more]) == 0
    with (out / "left_out.tsv").open(encoding="utf-8", newline="") as file:
        left_out = {row["file"]: row["reason"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}
    return {clip.id: clip for clip in read_manifest(out / "manifest.tsv")}, left_out


@pytest.fixture
def kinetics(tmp_path) -> Path:
    """Clips in folders by label (with spaces, with underscores) and in none; annotations named as in the archive."""
    return place(
        tmp_path / "k600",
        {
            "annotations/train.csv": HEADER + "riding a bike,aaaaaaaaaaa,3,13,train\n"
            '"yoga, slow",bbbbbbbbbb-,0,10,train\n'
            "yoga,ccccccccccc,5,15,train\n",
            "annotations/validate.csv": HEADER + "riding a bike,_dddddddddd,1234,1244,validate\n",
            "annotations/test.csv": "youtube_id,time_start,time_end,split\neeeeeeeeeee,7,17,test\n",
            "annotations/readme_path.txt": "no table",
            "train/riding a bike/aaaaaaaaaaa_000003_000013.mp4": "whole.mp4",
            "train/bbbbbbbbbb-_000000_000010.mp4": "whole.mp4",
            "train/._bbbbbbbbbb-_000000_000010.mp4": "left by an archiver",
            "train/riding_a_bike/aaaaaaaaaaa_000004_000014.mp4": "whole.mp4",
            "train/bbbbbbbbbb-_000000_000010.mp4.part": "half",
            "val/riding_a_bike/_dddddddddd_001234_001244.mp4": "whole.mp4",
            "test/eeeeeeeeeee_000007_000017.mp4": "whole.mp4",
        },
    )


def test_kinetics(kinetics):
    clips, left_out = run(kinetics600.main, kinetics)
    assert {id: (clip.split, clip.group) for id, clip in clips.items()} == {
        "aaaaaaaaaaa_000003_000013": ("train", "riding a bike"),
        "bbbbbbbbbb-_000000_000010": ("train", "yoga, slow"),
        "_dddddddddd_001234_001244": ("dev", "riding a bike"),
        "eeeeeeeeeee_000007_000017": ("test", "unlabelled"),
    }
    assert left_out == {
        "train/._bbbbbbbbbb-_000000_000010.mp4": "name is not ID_START_END.mp4",
        "train/bbbbbbbbbb-_000000_000010.mp4.part": "name is not ID_START_END.mp4",
        "train/riding_a_bike/aaaaaaaaaaa_000004_000014.mp4": "in no annotation",
        "ccccccccccc_000005_000015.mp4": "annotated for train, but there is no such file",
    }
    clip = clips["aaaaaaaaaaa_000003_000013"]
    assert clip.video == clip.audio == kinetics / "train/riding a bike/aaaaaaaaaaa_000003_000013.mp4"
    assert (clip.start_s, clip.set) == (0, "kinetics600") and clip.duration_s == pytest.approx(1.0, abs=0.05)


def test_kinetics_annotations_elsewhere_and_by_other_names(kinetics, capsys):
    folder = (kinetics / "annotations").rename(kinetics.parent / "activitynet")
    for name, other in (
        ("train.csv", "kinetics-600_train.csv"),
        ("validate.csv", "kinetics-600_val.csv"),
        ("test.csv", "k600_test.txt"),
    ):
        (folder / name).rename(folder / other)
    assert kinetics600.main(["--root", str(kinetics), "--out", str(kinetics.parent / "out")]) == 2
    error = capsys.readouterr().err
    assert str(kinetics / "annotations") in error and "--annotations" in error and error.count("\n") == 1
    clips, _ = run(kinetics600.main, kinetics, "--annotations", str(folder))
    assert [clip.split for clip in clips.values()] == ["dev", "train", "train", "test"]


def test_kinetics_clip_annotated_twice_is_not_trained_on(kinetics):
    place(
        kinetics, {"annotations/holdout_test.csv": HEADER + "yoga,aaaaaaaaaaa,3,13,test\nyoga,eeeeeeeeeee,7,17,test\n"}
    )
    place(
        kinetics,
        {
            "annotations/a_train.csv": HEADER + "yoga,_dddddddddd,1234,1244,train\n",
            "train/eeeeeeeeeee_000007_000017.mp4": "whole.mp4",
        },
    )
    clips, left_out = run(kinetics600.main, kinetics)
    assert clips["aaaaaaaaaaa_000003_000013"].split == "test"
    assert clips["_dddddddddd_001234_001244"].split == "dev"
    assert clips["eeeeeeeeeee_000007_000017"].group == "yoga"  # a label is better than none
    assert left_out["train/eeeeeeeeeee_000007_000017.mp4"] == "second copy of a clip"


def test_kinetics_table_of_another_kind(kinetics, capsys):
    """Such a list, as in CVDF's folder, is skipped with a note if it is found, and an error if it is named."""
    other = kinetics / "annotations/holdout_test.csv"
    other.write_text("https://example.org/a.tar.gz\n")
    run(kinetics600.main, kinetics)
    assert f"{other} is skipped: no column youtube_id" in capsys.readouterr().err
    arguments = ["--root", str(kinetics), "--out", str(kinetics.parent / "out"), "--annotations", str(other)]
    assert kinetics600.main(arguments) == 2
    assert "holdout_test.csv: no column youtube_id" in capsys.readouterr().err
    other.write_text(HEADER + "yoga,aaaaaaaaaaa,3,soon,test\n")
    assert kinetics600.main(["--root", str(kinetics), "--out", str(kinetics.parent / "out")]) == 2
    assert "holdout_test.csv, line 2: yoga,aaaaaaaaaaa,3,soon,test is no annotation" in capsys.readouterr().err


TRACKS = (
    "id00012/21Uxsk56VDQ/00001",
    "id00012/21Uxsk56VDQ/00002",
    "id00015/0fijmz4vTVU/00001",
    "id00016/_raOc3-IRsw/00110",
)
TESTED = "id00017/01dfn2spqyE/00001"


@pytest.mark.parametrize(
    "dev, test",
    [
        ("dev/mp4", "test/mp4"),
        ("dev/dev/mp4", "test/mp4"),
        ("vox2_dev_mp4/dev/mp4", "vox2_test_mp4/mp4"),
        ("dev/mp4", "mp4"),
    ],
)
def test_voxceleb2(tmp_path, dev, test):
    root = place(
        tmp_path / "vox2",
        {f"{dev}/{track}.mp4": "whole.mp4" for track in TRACKS} | {f"{test}/{TESTED}.mp4": "whole.mp4"},
    )
    clips, left_out = run(voxceleb2.main, root)
    assert left_out == {} and set(clips) == {*TRACKS, TESTED}
    assert clips[TESTED].split == "test" and clips[TESTED].video == clips[TESTED].audio == root / test / f"{TESTED}.mp4"
    assert {id: clip.group for id, clip in clips.items()} == {id: id[:7] for id in (*TRACKS, TESTED)}
    # No hash is under 1 %, so it is the smallest: id00012 has 77 of 100, id00015 43, id00016 74.
    assert [clips[track].split for track in TRACKS] == ["train", "train", "dev", "train"]


def test_voxceleb2_sound_in_a_tree_of_its_own(tmp_path):
    root = place(
        tmp_path / "vox2",
        {
            f"dev/mp4/{TRACKS[0]}.mp4": "silent.mp4",
            f"dev/aac/{TRACKS[0]}.m4a": "sound.m4a",
            f"dev/mp4/{TRACKS[1]}.mp4": "silent.mp4",
            f"dev/mp4/{TRACKS[2]}.mp4": "silent.mp4",
            f"dev/aac/{TRACKS[2]}.m4a": "",
            f"dev/mp4/{TRACKS[3]}.mp4": "whole.mp4",
            f"dev/aac/{TRACKS[3]}.m4a": "sound.m4a",
            f"test/mp4/{TESTED}.mp4": "silent.mp4",
            f"vox2_test_aac/aac/{TESTED}.m4a": "sound.m4a",
            "dev/aac/id00018/01dfn2spqyE/00007.m4a": "sound.m4a",
            "dev/mp4/id00018/face.mp4": "whole.mp4",
        },
    )
    clips, left_out = run(voxceleb2.main, root)
    assert {id: clip.audio.relative_to(root).as_posix() for id, clip in clips.items()} == {
        TRACKS[0]: f"dev/aac/{TRACKS[0]}.m4a",
        TRACKS[3]: f"dev/mp4/{TRACKS[3]}.mp4",
        TESTED: f"vox2_test_aac/aac/{TESTED}.m4a",
    }
    assert clips[TRACKS[0]].duration_s == pytest.approx(0.6, abs=0.07)  # of 0.8 s of pictures
    assert left_out == {
        f"dev/mp4/{TRACKS[1]}.mp4": "no audio stream",
        f"dev/mp4/{TRACKS[2]}.mp4": "its sound file: empty file",
        "dev/aac/id00018/01dfn2spqyE/00007.m4a": "sound without its mp4 file",
        "dev/mp4/id00018/face.mp4": "not where VoxCeleb2 has its tracks",
    }


def test_voxceleb2_folder_that_names_no_part(tmp_path, capsys):
    root = place(tmp_path / "vox2", {f"mp4/{TESTED}.mp4": "whole.mp4"})
    assert voxceleb2.main(["--root", str(root), "--out", str(tmp_path / "out")]) == 2
    assert "no clip of voxceleb2 found (such as dev/mp4/id00012/21Uxsk56VDQ/00001.mp4)" in capsys.readouterr().err


def test_lrs3(tmp_path):
    root = place(
        lrs3(tmp_path / "lrs3"),
        {"trainval/ddddddddddd/50002.mp4": "whole.mp4", "trainval/ccccccccccc/50001_crop.mp4": "whole.mp4"},
    )
    clips, left_out = run(prepare_lrs3, root, "--dev-percent", "18")
    assert {id: (clip.split, clip.group) for id, clip in clips.items()} == {
        # The hashes: a… 16 of 100, b… 20, c… 53. The held-out video is so in both folders that have it.
        "pretrain/aaaaaaaaaaa/00001": ("dev", "aaaaaaaaaaa"),
        "pretrain/aaaaaaaaaaa/00002": ("dev", "aaaaaaaaaaa"),
        "trainval/aaaaaaaaaaa/50001": ("dev", "aaaaaaaaaaa"),
        "pretrain/bbbbbbb-_bb/00001": ("train", "bbbbbbb-_bb"),
        "trainval/ccccccccccc/50001": ("train", "ccccccccccc"),
        "test/ddddddddddd/00001": ("test", "ddddddddddd"),
    }
    assert left_out == {
        "trainval/ddddddddddd/50002.mp4": "for training, but its group is in test",
        "trainval/ccccccccccc/50001_crop.mp4": "not where LRS3 has its clips",
    }
