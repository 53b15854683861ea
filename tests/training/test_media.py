"""Media as they are found: what is odd is read rightly, and what is broken is skipped with a reason, whatever it is."""

import os
import re
import signal
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy
import pytest
import soundfile
import torch

from mmpt.pretrain.clips import ClipDataset, Sampling, SkippedClip, collate
from mmpt.pretrain.file_reader import FileReader
from mmpt.pretrain.manifest import Clip
from mmpt.training.media import MediaError
from mmpt.training.media_pictures import Converter, VideoFile
from mmpt.training.media_sound import decode_audio, decode_whole

from helpers.broken_media import KINDS, SECONDS, write_broken
from helpers.clip_files import write_clip
from helpers.media_files import counting, tone, write_media

SAMPLING = Sampling(size=16, frames=16, stride=4, crop_min=0.5)


@pytest.fixture
def alarm():
    """Ends a test that hangs, with a traceback."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("a clip hangs its reader"))
    signal.alarm(600)
    yield
    signal.alarm(0)


def test_sixty_kinds_of_broken_media_among_800_good_clips(tmp_path, alarm):
    for number in range(3):
        write_clip(tmp_path / f"good{number}.mp4", 0.3, number, size=32)
    files = [tmp_path / f"good{number}.mp4" for number in range(3)]
    good = [Clip(f"good{n}", files[n % 3], files[n % 3], 0.0, 0.3, "train", "mock", "g") for n in range(800)]
    broken = [
        Clip(name, video, audio, start_s, SECONDS, "train", "mock", "b")
        for name, video, audio, start_s in write_broken(tmp_path / "broken")
    ]
    assert len(broken) == len({clip.id for clip in broken}) >= 40
    clips = [
        clip
        for n in range(len(broken))
        for clip in [*good[n * 800 // len(broken) : (n + 1) * 800 // len(broken)], broken[n]]
    ]
    dataset = ClipDataset(clips, SAMPLING, seed=0, memory_gb=0)
    handles, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    skipped, ids = [], []
    for start in range(0, len(clips), 32):
        batch = collate([dataset[1, n] for n in range(start, min(start + 32, len(clips)))])
        ids += batch.ids
        skipped += batch.skipped
        assert batch.video.shape == (len(batch), 3, 16, 16, 16)
    assert sorted(ids) == sorted(clip.id for clip in good)
    reasons = {entry.id: entry.reason for entry in skipped}
    assert sorted(reasons) == sorted(clip.id for clip in broken) and len(skipped) == len(broken)
    unfitting = {kind.name: reasons[kind.name] for kind in KINDS if not re.search(kind.reason, reasons[kind.name])}
    assert not unfitting
    assert all("\n" not in reason and re.match("(video|audio): ", reason) for reason in reasons.values())
    assert len(os.listdir("/proc/self/fd")) <= handles and threading.active_count() == threads


def clip_of(path, duration_s, start_s=0.0, audio=None) -> Clip:
    return Clip("odd", path, audio or path, start_s, duration_s, "train", "mock", "a")


def hertz(wav: torch.Tensor) -> float:
    """The frequency that is loudest."""
    return torch.fft.rfft(wav).abs().argmax().item() * 16000 / len(wav)


def loudness(wav: torch.Tensor) -> float:
    """The level of a sine with this power."""
    return (2 * wav[1600:-1600].square().mean()).sqrt().item()


def greys(frames) -> list[int]:
    """The numbers that grey pictures (H, W, 3) show (see media_files.counting)."""
    return [round(float(numpy.asarray(frame).mean()) / 5) for frame in frames]


@pytest.mark.parametrize("channels", [3, 12])
def test_channels_without_a_layout(tmp_path, channels):
    soundfile.write(tmp_path / "array.wav", numpy.stack([tone(1.0, 16000)] * channels, 1), 16000)
    wav = decode_audio(tmp_path / "array.wav", 0.0, 1.0)
    assert len(wav) == 16000 and hertz(wav) == pytest.approx(440, abs=2) and 0.05 < loudness(wav) < 0.52


@pytest.mark.parametrize(
    "name, rate, layout, audio",
    [
        ("telephone.mp4", 8000, "mono", "aac"),
        ("stereo.mp4", 44100, "stereo", "aac"),
        ("surround.mp4", 48000, "5.1", "aac"),
        ("surround.mkv", 44100, "5.1", "ac3"),
        ("mono_mp3.mkv", 22050, "mono", "mp3"),
        ("opus.webm", 48000, "stereo", "libopus"),
        ("whole_numbers.mkv", 96000, "mono", "pcm_s24le"),
    ],
)
def test_sound_of_any_rate_and_channels(tmp_path, name, rate, layout, audio):
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    video = "libvpx" if name.endswith("webm") else "libx264"
    write_media(
        tmp_path / name, counting(50), numpy.stack([tone(2.0, rate)] * channels), rate, layout, audio=audio, video=video
    )
    with FileReader(clip_of(tmp_path / name, 2.0)) as media:
        wav = media.audio()
    assert len(wav) == pytest.approx(32000, abs=1600) and wav.dtype == torch.float32
    assert hertz(wav) == pytest.approx(440, abs=2)
    assert loudness(wav) == pytest.approx(
        0.5, rel=0.06
    )  # all channels the same: mixed, they are no louder and not cut at full scale


def test_left_and_right_are_averaged(tmp_path):
    sound = numpy.stack([tone(1.0, 16000, 440, 0.6), tone(1.0, 16000, 1000, 0.2)])
    write_media(tmp_path / "two.wav", [], sound, layout="stereo", audio="pcm_f32le")
    assert (decode_audio(tmp_path / "two.wav", 0.0, 1.0) - torch.from_numpy(sound.mean(0)).float()).abs().max() < 1e-4


def test_silence_is_a_sound(tmp_path):
    write_media(tmp_path / "silence.mp4", counting(50), numpy.zeros((1, 32000)))
    item = ClipDataset([clip_of(tmp_path / "silence.mp4", 2.0)], SAMPLING, seed=0, memory_gb=0)[0, 0]
    assert len(item.wav) == 32000 and not item.wav.any()


def test_late_sound_stays_in_step(tmp_path):
    write_media(tmp_path / "late.mp4", counting(75), tone(2.0, 16000)[None], sound_from_s=0.7)
    wav = decode_audio(tmp_path / "late.mp4", 0.0, 3.0)
    begins = wav.abs().gt(0.1).nonzero()[0].item() / 16000
    assert begins == pytest.approx(0.7, abs=0.02) and not wav[: int(0.6 * 16000)].any()
    part = decode_audio(tmp_path / "late.mp4", 0.5, 1.0)
    assert part.abs().gt(0.1).nonzero()[0].item() / 16000 == pytest.approx(0.2, abs=0.02)


def test_hole_in_the_sound_stays_a_hole(tmp_path):
    with av.open(str(tmp_path / "hole.mkv"), "w") as container:
        track = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for start_s in (0.0, 2.0):
            frame = av.AudioFrame.from_ndarray(
                tone(1.0, 16000)[None].astype(numpy.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.time_base, frame.pts = 16000, Fraction(1, 16000), round(start_s * 16000)
            packets = track.encode(frame)
            container.mux(packets)
        container.mux(track.encode(None))
    wav = decode_audio(tmp_path / "hole.mkv", 0.0, 3.0)
    assert len(wav) == pytest.approx(48000, abs=200)
    assert loudness(wav[:16000]) == pytest.approx(0.5, rel=0.02) and loudness(wav[32000:]) == pytest.approx(
        0.5, rel=0.02
    )
    assert wav[17000:31000].abs().max() < 1e-3


def test_sound_that_changes_its_channels(tmp_path):
    for name, layout in (("one", "mono"), ("two", "stereo")):
        write_media(
            tmp_path / f"{name}.aac",
            [],
            numpy.stack([tone(1.0, 44100)] * (2 if layout == "stereo" else 1)),
            44100,
            layout,
        )
    joined = tmp_path / "joined.aac"
    joined.write_bytes((tmp_path / "one.aac").read_bytes() + (tmp_path / "two.aac").read_bytes())
    wav = decode_audio(joined, 0.0, 2.0)
    assert (
        len(wav) > 31000
        and loudness(wav[:14000]) == pytest.approx(0.5, rel=0.1)
        and loudness(wav[18000:]) == pytest.approx(0.5, rel=0.1)
    )


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
def test_going_to_a_moment_shows_what_reading_from_the_start_shows(tmp_path, name, video):
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


def test_no_more_pictures_are_converted_than_are_wanted(tmp_path, monkeypatch):
    write_media(tmp_path / "long.mp4", counting(150), numpy.zeros((1, 96000)))
    converted = []
    convert = Converter.__call__
    monkeypatch.setattr(Converter, "__call__", lambda self, frame: converted.append(frame) or convert(self, frame))
    ClipDataset([clip_of(tmp_path / "long.mp4", 6.0)], SAMPLING, seed=0, memory_gb=0)[0, 0]
    assert len(converted) == 16
    with VideoFile(tmp_path / "long.mp4") as video:
        assert greys(video.pictures_at([1.0, 1.01, 1.02, 1.05], 48)) == [25, 25, 25, 26]
    assert len(converted) == 18


def test_file_that_goes_on_less_long_than_its_clip(tmp_path):
    """Sound may stop before the pictures do and the other way round, where the header says so; a whole file may not."""
    write_media(tmp_path / "quiet_end.mp4", counting(100), tone(1.5, 16000)[None])
    item = ClipDataset([clip_of(tmp_path / "quiet_end.mp4", 4.0)], SAMPLING, seed=0, memory_gb=0)[0, 0]
    assert len(item.wav) == pytest.approx(24000, abs=1100)
    write_media(tmp_path / "frozen.mp4", counting(20), tone(4.0, 16000)[None])
    item = ClipDataset([clip_of(tmp_path / "frozen.mp4", 4.0)], SAMPLING, seed=0, memory_gb=0)[0, 0]
    assert greys(item.video)[-1] == 19
    item = ClipDataset([clip_of(tmp_path / "quiet_end.mp4", 8.0)], SAMPLING, seed=0, memory_gb=0)[0, 0]
    assert isinstance(item, SkippedClip) and "cut off" in item.reason


@pytest.mark.parametrize("name", ["http:clip.mp4", "concat:a|b.mp4", "clip%03d.mp4", " -i clip ü.mp4", "no_ending"])
def test_names_that_look_like_something_else(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_media(tmp_path / "plain.mp4", counting(5), None)
    (tmp_path / "plain.mp4").rename(name)
    with VideoFile(Path(name)) as video:
        assert greys(video.pictures_at([0.1], 48)) == [2]


def test_either_half_of_a_clip_may_be_cut_off(tmp_path):
    write_media(tmp_path / "whole.ts", counting(150), None)
    write_media(tmp_path / "whole.wav", [], tone(6.0, 16000)[None], audio="pcm_s16le")
    for name, share in (("half.ts", 0.3), ("half.wav", 0.5)):
        data = (tmp_path / f"whole.{name[5:]}").read_bytes()
        (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    for video, audio, reason in [
        ("whole.ts", "whole.wav", None),
        ("half.ts", "whole.wav", "video: ends at"),
        ("whole.ts", "half.wav", "audio: ends at 3"),
    ]:
        clips = [clip_of(tmp_path / video, 6.0, audio=tmp_path / audio)]
        for gb in (0, 1):
            item = ClipDataset(clips, SAMPLING, seed=0, memory_gb=gb)[None, 0]
            assert item.video.any() if reason is None else item.reason.startswith(reason)


def test_messages_name_the_file_and_not_its_folder(tmp_path):
    with pytest.raises(MediaError, match="^video: gone.mp4: No such file or directory$"):
        VideoFile(tmp_path / "gone.mp4")


def test_all_of_a_sound_is_decoded_without_knowing_how_long_it_is(tmp_path):
    wave = numpy.sin(numpy.arange(20_000) * 0.05).astype(numpy.float32) * 0.5
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
    assert decode_whole(tmp_path / "a.wav").numpy() == pytest.approx(wave, abs=1e-6)
    soundfile.write(tmp_path / "b.flac", numpy.stack([wave, wave], 1), 48_000)
    assert len(decode_whole(tmp_path / "b.flac")) == pytest.approx(20_000 / 3, abs=2)
    (tmp_path / "c.txt").write_text("no sound")
    with pytest.raises(MediaError, match="c.txt: not a media file"):
        decode_whole(tmp_path / "c.txt")
