"""Making shards: always the same bytes, nothing half written, continued after a stop, one line for each error."""

import json
import os
import signal
import subprocess
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from mmpt.pretrain.manifest import Clip
from mmpt.pretrain.shard_index import read_index
from mmpt.scripts.prepare import shard_folder
from mmpt.scripts.prepare.shard_making import in_order
from mmpt.scripts.prepare.shards import main
from mmpt.training.sole_use import LOCK, sole_use

from helpers.clip_files import write_clip
from helpers.deadly_clip import work

HEADER = "id\tvideo\taudio\tstart_s\tduration_s\tsplit\tset\tgroup\n"


def line(name: str, file: str, split: str = "train") -> str:
    return f"{name}\t{file}\t{file}\t0\t0.4\t{split}\tmock\tg\n"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    """Seven clips in four shards; one of them cannot be read."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(3):
        write_clip(folder / f"{number}.mp4", 0.4, number)
    (folder / "text.mp4").write_text("no media")
    lines = [line(f"t{n}", f"{n % 3}.mp4") for n in range(4)] + [
        line("bad", "text.mp4"),
        line("d0", "0.mp4", "dev"),
        line("d1", "1.mp4", "dev"),
    ]
    (folder / "manifest.tsv").write_text(HEADER + "".join(lines), encoding="utf-8")
    return folder / "manifest.tsv"


def make(manifest: Path, out: Path, *options: str) -> int:
    return main(
        [str(manifest), "--out", str(out), "--clips-per-shard", "2", "--jobs", "1", "--max-bad-share", "0.2", *options]
    )


@pytest.fixture(scope="module")
def whole(manifest, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "shards"
    assert make(manifest, out) == 0
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK}


@pytest.mark.slow
def test_folder_holds_shards_index_sums_and_skipped_clips(whole):
    assert sorted(contents(whole)) == [
        "SHA256SUMS",
        "dev-000000.tar",
        "finished.jsonl",
        "index.tsv",
        "shards.json",
        "skipped.jsonl",
        "train-000000.tar",
        "train-000001.tar",
    ]
    assert [clip.id for clip in read_index(whole)] == ["t0", "t1", "t2", "t3", "d0", "d1"]
    skipped = [json.loads(text) for text in (whole / "skipped.jsonl").read_text().splitlines()]
    assert [entry["id"] for entry in skipped] == ["bad"] and "not a media file" in skipped[0]["reason"]
    check = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=whole, capture_output=True, text=True)
    assert check.returncode == 0 and check.stdout.count("OK") == 6


def test_report_tells_sizes(manifest, tmp_path, capsys):
    assert make(manifest, tmp_path / "shards") == 0
    output = capsys.readouterr().out
    tars = sum(path.stat().st_size for path in (tmp_path / "shards").glob("*.tar"))
    assert (
        f"{tars / 6 / 1e6:.3g} MB per clip" in output and f"{tars / (6 * 0.4 / 3600) / 1e9:.3g} GB per hour" in output
    )
    assert (
        "train: 4 clips in 2 shards" in output and "dev: 2 clips in 1 shards" in output and "skipped: 1 clips" in output
    )


@pytest.mark.slow
def test_bytes_do_not_depend_on_jobs(manifest, whole, tmp_path):
    assert make(manifest, tmp_path / "shards", "--jobs", "2") == 0
    assert contents(tmp_path / "shards") == contents(whole)


def test_second_call_writes_no_shard_again(manifest, whole, monkeypatch):
    before = {path.name: path.stat().st_mtime_ns for path in whole.glob("*.tar")}
    monkeypatch.setattr(
        shard_folder, "packed_clips", lambda clips, *_: iter(()) if not list(clips) else pytest.fail("packed again")
    )
    assert make(manifest, whole) == 0
    assert {path.name: path.stat().st_mtime_ns for path in whole.glob("*.tar")} == before


@pytest.mark.slow
def test_killed_call_is_resumed_to_the_same_bytes(manifest, whole, tmp_path, monkeypatch):
    out = tmp_path / "shards"
    pack = shard_folder.packed_clips

    def slowly(*arguments):
        for number, packed in enumerate(pack(*arguments)):
            yield packed
            time.sleep(60 if number == 2 else 0)  # in the second shard

    with monkeypatch.context() as patch:
        patch.setattr(shard_folder, "packed_clips", slowly)
        process = get_context("fork").Process(target=make, args=(manifest, out))
        process.start()
    deadline = time.monotonic() + 60
    while not list(out.glob(".train-000001.tar.*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (out / "train-000000.tar").is_file()
    assert not (out / "train-000001.tar").exists() and not (out / "index.tsv").exists()
    with (out / "finished.jsonl").open("a") as file:
        file.write('{"shard": "train-0000')  # as if the kill had come during the writing
    first = (out / "train-000000.tar").stat().st_mtime_ns
    assert make(manifest, out) == 0
    assert (out / "train-000000.tar").stat().st_mtime_ns == first
    assert contents(out) == contents(whole)


def test_interrupted_call_leaves_no_half_file(manifest, whole, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt
        yield

    with monkeypatch.context() as patch:
        patch.setattr(shard_folder, "packed_clips", interrupted)
        assert make(manifest, tmp_path / "shards") == 130
    assert sorted(contents(tmp_path / "shards")) == ["finished.jsonl", "shards.json"]
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"


def test_lost_shard_is_written_again(manifest, whole, tmp_path):
    out = tmp_path / "shards"
    assert make(manifest, out) == 0
    (out / "train-000001.tar").unlink()
    assert make(manifest, out) == 0 and contents(out) == contents(whole)


def refused(capsys, call, *complaints: str) -> None:
    """The call ends with status 2 and one line that holds the complaints."""
    capsys.readouterr()
    assert call() == 2
    lines = [text for text in capsys.readouterr().err.split("\n") if text.startswith("error: ")]
    assert len(lines) == 1 and all(complaint in lines[0] for complaint in complaints), lines


def test_other_form_or_manifest_is_an_error_unless_fresh(manifest, tmp_path, capsys):
    out = tmp_path / "shards"
    assert make(manifest, out) == 0
    refused(capsys, lambda: make(manifest, out, "--quality", "30"), "quality 85, not 30", "--fresh")
    other = manifest.with_name("other.tsv")
    other.write_text(HEADER + line("t0", "0.mp4"))
    before = contents(out)
    refused(capsys, lambda: make(other, out), "another manifest", "--fresh")
    assert contents(out) == before
    assert make(other, out, "--fresh") == 0
    assert [clip.id for clip in read_index(out)] == ["t0"] and not (out / "dev-000000.tar").exists()


def test_folders_of_others_are_left_alone(manifest, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    for more in ([], ["--fresh"]):
        refused(capsys, partial(make, manifest, tmp_path, *more), "holds other files (thesis.tex)")
    refused(capsys, lambda: make(manifest, tmp_path / "thesis.tex"), "thesis.tex")
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}


def test_two_calls_do_not_write_the_same_folder(manifest, tmp_path, capsys):
    out = tmp_path / "shards"
    out.mkdir()
    with sole_use(out):
        refused(capsys, lambda: make(manifest, out), "another call is writing here")
    assert make(manifest, out) == 0


def test_too_many_bad_clips_are_an_error_and_finished_shards_are_kept(manifest, whole, tmp_path, capsys):
    out = tmp_path / "shards"
    refused(
        capsys,
        lambda: make(manifest, out, "--max-bad-share", "0.1"),
        "1 of 7 clips cannot be read",
        "--max-bad-share 0.1",
        "skipped.jsonl",
    )
    assert (out / "train-000001.tar").is_file() and not (out / "index.tsv").exists()
    assert json.loads((out / "skipped.jsonl").read_text())["id"] == "bad"
    refused(capsys, lambda: main(["--out", str(out), "--verify"]), "SHA256SUMS: no such file")
    assert make(manifest, out) == 0 and contents(out) == contents(whole)


def test_shard_without_a_readable_clip_has_no_file(manifest, tmp_path):
    bad = manifest.with_name("bad.tsv")
    bad.write_text(HEADER + line("b0", "text.mp4") + line("b1", "gone.mp4") + line("d0", "0.mp4", "dev"))
    assert make(bad, tmp_path / "shards", "--max-bad-share", "1") == 0
    assert [path.name for path in (tmp_path / "shards").glob("*.tar")] == ["dev-000000.tar"]
    assert make(bad, tmp_path / "shards", "--max-bad-share", "1") == 0 and len(read_index(tmp_path / "shards")) == 1


def test_a_killed_fresh_call_leaves_a_folder_that_the_next_one_takes(manifest, tmp_path, monkeypatch):
    out, unlink = tmp_path / "shards", Path.unlink
    assert make(manifest, out) == 0
    names = shard_folder.files_in(out)
    for number in range(1, len(names)):
        kept = dict.fromkeys(names, b"")

        def dies(path, missing_ok=False, left=kept, number=number):
            if len(left) == len(names) - number:
                raise KeyboardInterrupt
            if path.name in left:
                del left[path.name]
            unlink(path, missing_ok=missing_ok)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", dies)
            assert make(manifest, out, "--fresh") == 130
        assert "shards.json" in kept and not {"index.tsv", "SHA256SUMS"} & kept.keys() or number < 2
        assert make(manifest, out, "--fresh") == 0


def test_a_damaged_description_is_made_again_with_fresh(manifest, tmp_path, capsys):
    out = tmp_path / "shards"
    assert make(manifest, out) == 0
    (out / "shards.json").write_text("{")
    refused(
        capsys, lambda: main(["--out", str(out), "--verify"]), "shards.json is not", "with --fresh, which makes all"
    )
    assert make(manifest, out, "--fresh") == 0


def test_verify_finds_one_flipped_bit(manifest, tmp_path, capsys):
    out = tmp_path / "shards"
    assert make(manifest, out) == 0 and main(["--out", str(out), "--verify"]) == 0
    assert "6 files in" in capsys.readouterr().out
    shard = out / "train-000001.tar"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    (out / "skipped.jsonl").unlink()
    refused(
        capsys,
        lambda: main(["--out", str(out), "--verify"]),
        "2 of 6 files are damaged",
        "train-000001.tar is not what was written",
        "skipped.jsonl: No such file",
    )


@pytest.mark.parametrize("spoil", [lambda text: text + "not a line\n", lambda text: ""])
def test_damaged_checksums_are_an_error(manifest, tmp_path, capsys, spoil):
    out = tmp_path / "shards"
    assert make(manifest, out) == 0
    (out / "SHA256SUMS").write_text(spoil((out / "SHA256SUMS").read_text()))
    refused(capsys, lambda: main(["--out", str(out), "--verify"]), "SHA256SUMS: is damaged; each line should be")


def test_report_of_nothing_but_skipped_clips_has_no_sizes(manifest, tmp_path, capsys):
    bad = manifest.with_name("all_bad.tsv")
    bad.write_text(HEADER + line("b0", "text.mp4") + line("b1", "gone.mp4"))
    assert make(bad, tmp_path / "shards", "--max-bad-share", "1") == 0
    told = capsys.readouterr().out
    assert "skipped: 2 clips" in told and "MB per clip" not in told and "train:" not in told


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["nowhere.tsv"], "nowhere.tsv: no such manifest"),
        ([], "no manifest named"),
        (["MANIFEST", "--quality", "0"], "--quality must be 1 to 100, not 0"),
        (["MANIFEST", "--jobs", "0"], "--jobs must be 1"),
        (["MANIFEST", "--short-side", "5"], "--short-side must be 16"),
        (["MANIFEST", "--clips-per-shard", "0"], "--clips-per-shard must be 1"),
        (["MANIFEST", "--max-bad-share", "7"], "--max-bad-share must be 0 to 1"),
        (["--verify"], "SHA256SUMS: no such file"),
    ],
)
def test_bad_input_is_one_line(manifest, tmp_path, capsys, arguments, complaint):
    arguments = [str(manifest) if argument == "MANIFEST" else argument for argument in arguments]
    refused(capsys, lambda: main([*arguments, "--out", str(tmp_path / "new")]), complaint)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_clip_that_kills_its_process_is_reported_and_the_others_are_packed():
    names = [*"abcdef", "killer", *"ghijklmnop"]
    clips = [Clip(name, Path("x"), Path("x"), 0.0, 1.0, "train", "mock", "g") for name in names]
    done = list(in_order(work, clips, jobs=2))
    assert len(done) == len(names) and "killed the process" in done[6]
    assert [text for number, text in enumerate(done) if number != 6] == names[:6] + names[7:]
