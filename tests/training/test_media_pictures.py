"""Pictures of odd files are read rightly, whatever their container, rate, rotation or clock."""

from pathlib import Path

import av
import numpy
import pytest

from mmpt.training.media import MediaError
from mmpt.training.media_pictures import VideoFile

from helpers.media_files import counting, write_media


def greys(frames) -> list[int]:
    """The numbers that grey pictures (H, W, 3) show (see media_files.counting)."""
    return [round(float(numpy.asarray(frame).mean()) / 5) for frame in frames]


def quadrant(height: int, width: int) -> numpy.ndarray:
    """A dark picture with a bright upper left quarter."""
    picture = numpy.full((height, width, 3), 20, numpy.uint8)
    picture[: height // 2, : width // 2] = 220
    return picture


@pytest.mark.parametrize(
    "matrix, shape, bright",
    [
        ((1, 0, 0, 1), (32, 64), (0, 0)),
        ((0, 1, -1, 0), (64, 32), (0, 1)),  # to the right goes down: a quarter turn clockwise
        ((0, -1, 1, 0), (64, 32), (1, 0)),
        ((-1, 0, 0, -1), (32, 64), (1, 1)),
    ],
)
def test_rotated_pictures_are_turned_upright(tmp_path, matrix, shape, bright):
    """The matrix of the track's header, written as the mp4 standard has it: x' = a·x + c·y, y' = b·x + d·y."""
    path = tmp_path / "turned.mp4"
    write_media(path, [quadrant(32, 64)] * 25, None)
    data = bytearray(path.read_bytes())
    a, b, c, d = matrix
    x, y = 32 if c < 0 else 64 if a < 0 else 0, 64 if b < 0 else 32 if d < 0 else 0  # moved back into view
    words = [a << 16, b << 16, 0, c << 16, d << 16, 0, x << 16, y << 16, 1 << 30]
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = b"".join((word & 0xFFFFFFFF).to_bytes(4, "big") for word in words)
    path.write_bytes(data)
    with VideoFile(path) as video:
        for frames in (video.pictures_at([0.2], 256), video.pictures(0.5, 256)[0][:1]):
            assert len(frames) == 1 and frames[0].shape == (*shape, 3)
            height, width = shape
            corners = [
                [frames[0][y : y + height // 2, x : x + width // 2].mean() for x in (0, width // 2)]
                for y in (0, height // 2)
            ]
            assert [(y, x) for y in (0, 1) for x in (0, 1) if corners[y][x] > 150] == [bright]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_variable_rate_takes_what_is_on_screen(tmp_path, container):
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 1.2, 1.24, 1.28, 1.32, 2.0, 2.04, 2.5, 2.54, 2.58, 2.9, 2.96]
    path = tmp_path / f"variable.{container}"
    write_media(path, counting(16), numpy.zeros((1, 48000)), times=times)
    wanted = [0.0, 0.03, 0.05, 0.3, 0.49, 0.51, 0.6, 1.19, 1.21, 1.31, 1.9, 2.6, 2.89]
    shown = [max(n for n, time in enumerate(times) if time <= moment) for moment in wanted]
    with VideoFile(path) as video:
        assert greys(video.pictures_at(wanted, 48)) == shown
        assert greys(video.pictures_at(wanted[5:], 48)) == shown[5:]  # from the middle of the file
        assert container == "mkv" or video.rate == pytest.approx(
            len(times) / 3.0, rel=0.1
        )  # the mean; this mkv's header says 25
        frames, at = video.pictures(3.0, 48)
        assert greys(frames) == list(range(16)) and at == pytest.approx(times, abs=1e-3)
    with VideoFile(path, 0.52) as video:
        frames, at = video.pictures(1.0, 48)
        assert greys(frames) == [3, 4, 5, 6, 7, 8] and at[1:] == pytest.approx(
            [time - 0.52 for time in times[4:9]], abs=1e-3
        )


@pytest.mark.parametrize(
    "pix_fmt, video, name, shape",
    [
        ("yuv420p", "mpeg4", "odd.mp4", (255, 341)),
        ("yuv444p", "libx264", "full_colour.mp4", (255, 341)),
        ("yuv420p10le", "libx264", "ten_bit.mp4", (64, 80)),
        ("yuvj420p", "mjpeg", "full_range.avi", (64, 80)),
        ("gray", "ffv1", "grey.mkv", (64, 80)),
        ("yuv422p10le", "ffv1", "studio.mkv", (64, 80)),
        ("rgb8", "gif", "palette.gif", (64, 80)),
        ("bgra", "ffv1", "see_through.mkv", (64, 80)),
        ("yuv420p", "mpeg2video", "tv.ts", (64, 80)),
    ],
)
def test_pictures_of_any_form(tmp_path, pix_fmt, video, name, shape):
    height, width = shape
    picture = numpy.full((height, width, 3), 100, numpy.uint8)
    picture[: height // 2, : width // 2] = (200, 60, 60)
    write_media(tmp_path / name, [picture] * 30, None, video=video, pix_fmt=pix_fmt)
    with VideoFile(tmp_path / name) as file:
        assert file.rate == pytest.approx(25, rel=0.01)
        frames = file.pictures_at([0.1, 0.5], 64)
    assert len(frames) == 2 and frames[1].shape == (round(height * 64 / min(shape)), round(width * 64 / min(shape)), 3)
    corner, rest = frames[1][4:24, 4:24].mean((0, 1)), frames[1][40:-4, 48:-4].mean((0, 1))
    expected = [102.0] * 3 if pix_fmt == "gray" else [200.0, 60.0, 60.0]
    assert numpy.abs(rest - 100).max() < 12 and numpy.abs(corner - expected).max() < (30 if pix_fmt == "rgb8" else 8)


@pytest.mark.parametrize(
    "name, video", [("raw.h264", "libx264"), ("packed.avi", "mpeg4"), ("stamped_late.ts", "libx264")]
)
def test_files_without_time_stamps_or_with_a_clock_of_their_own(tmp_path, name, video):
    precise = {"qmin": "1", "qmax": "1"} if video == "mpeg4" else None
    late = {"output_ts_offset": "7.5"} if name == "stamped_late.ts" else None
    write_media(tmp_path / name, counting(60), None, video=video, codec_options=precise, options=late)
    with VideoFile(tmp_path / name) as file:
        assert greys(file.pictures_at([0.0, 0.041, 0.5, 1.61, 2.0], 48)) == [0, 1, 12, 40, 0]
    with VideoFile(tmp_path / name, 1.0) as file:
        assert greys(file.pictures(0.2, 48)[0]) == [25, 26, 27, 28, 29]


@pytest.mark.parametrize(
    "name, video",
    [
        ("a.mp4", "libx264"),
        ("a.mkv", "libx264"),
        ("a.ts", "libx264"),
        ("a.avi", "mpeg4"),
        ("a.flv", "libx264"),
        ("a.mov", "mpeg4"),
        ("a.webm", "libvpx"),
        ("open.mkv", "libx264"),
        ("open.ts", "libx264"),
    ],
)
def test_seeking_shows_what_reading_from_the_start_shows(tmp_path, name, video):
    """Where pictures are not stored in the order they are shown in, jumping is easily wrong by a few."""
    options = {"g": "12"} if video == "libvpx" else {"g": "12", "bf": "3" if video == "libx264" else "2"}
    options |= (
        {"preset": "medium", "x264-params": f"open-gop={name.startswith('open'):d}"} if video == "libx264" else {}
    )
    write_media(tmp_path / name, counting(150), None, video=video, codec_options=options)
    with av.open(str(tmp_path / name)) as container:
        shown = list(container.decode(video=0))
    with VideoFile(tmp_path / name) as file:
        for _ in range(2):  # from where the first reading ended, back to the start
            frames, times = file.pictures(5.8, 48)
            assert (
                times == pytest.approx([frame.time - shown[0].time for frame in shown[: len(times)]], abs=1e-5)
                or name == "a.avi"
            )
            assert len(frames) >= 143 and greys(frames)[:3] == [0, 1, 2]
    for start_s in numpy.random.default_rng(0).uniform(0.2, 5.5, 25).round(3).tolist():
        with VideoFile(tmp_path / name, start_s) as file:
            ours = file.pictures_at([0.0], 48)[0]
        assert numpy.array_equal(ours, frames[numpy.searchsorted(times, start_s + 1e-6, side="right") - 1]), start_s


def test_clock_that_jumps_back(tmp_path):
    """As in program streams, where FFmpeg has to guess the times of most pictures."""
    write_media(tmp_path / "a.mpg", counting(150), None, video="mpeg2video", codec_options={"g": "12", "bf": "2"})
    with av.open(str(tmp_path / "a.mpg")) as container:
        stamps = [frame.time for frame in container.decode(video=0)]
    assert stamps != sorted(stamps)
    with VideoFile(tmp_path / "a.mpg") as video:
        frames, times = video.pictures(5.8, 48)
    assert times == sorted(set(times)) and len(frames) == len(times) >= 135


def test_picture_size_may_change_in_a_file(tmp_path):
    write_media(tmp_path / "small.ts", counting(25, 48, 64), None)
    write_media(
        tmp_path / "large.ts",
        [picture + 100 for picture in counting(25, 96, 128)],
        None,
        times=[1 + n / 25 for n in range(25)],
    )
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "small.ts").read_bytes() + (tmp_path / "large.ts").read_bytes())
    with VideoFile(joined) as video:
        frames, _ = video.pictures(2.0, 48)
    assert {frame.shape for frame in frames} == {(48, 64, 3)} and len(frames) >= 45
    assert frames[-5].mean() > 150


@pytest.mark.parametrize("name", ["http:clip.mp4", "concat:a|b.mp4", "clip%03d.mp4", " -i clip ü.mp4", "no_ending"])
def test_names_that_look_like_something_else(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_media(tmp_path / "plain.mp4", counting(5), None)
    (tmp_path / "plain.mp4").rename(name)
    with VideoFile(Path(name)) as video:
        assert greys(video.pictures_at([0.1], 48)) == [2]


def test_messages_name_the_file_and_not_its_folder(tmp_path):
    with pytest.raises(MediaError, match="^video: gone.mp4: No such file or directory$"):
        VideoFile(tmp_path / "gone.mp4")
