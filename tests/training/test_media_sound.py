"""Sound of odd files is read rightly: any rate and channels, late, or with holes."""

from fractions import Fraction

import av
import numpy
import pytest
import soundfile
import torch

from mmpt.pretrain.file_reader import FileReader
from mmpt.pretrain.manifest import Clip
from mmpt.training.media import MediaError
from mmpt.training.media_sound import decode_audio, decode_whole

from helpers.media_files import counting, tone, write_media


def hertz(wav: torch.Tensor) -> float:
    """The frequency that is loudest."""
    return torch.fft.rfft(wav).abs().argmax().item() * 16000 / len(wav)


def loudness(wav: torch.Tensor) -> float:
    """The level of a sine with this power."""
    return (2 * wav[1600:-1600].square().mean()).sqrt().item()


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
    with FileReader(Clip("odd", tmp_path / name, tmp_path / name, 0.0, 2.0, "train", "mock", "a")) as media:
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


def test_a_whole_file_is_decoded_whatever_its_length(tmp_path):
    wave = numpy.sin(numpy.arange(20_000) * 0.05).astype(numpy.float32) * 0.5
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
    assert decode_whole(tmp_path / "a.wav").numpy() == pytest.approx(wave, abs=1e-6)
    soundfile.write(tmp_path / "b.flac", numpy.stack([wave, wave], 1), 48_000)
    assert len(decode_whole(tmp_path / "b.flac")) == pytest.approx(20_000 / 3, abs=2)
    (tmp_path / "c.txt").write_text("no sound")
    with pytest.raises(MediaError, match="c.txt: not a media file"):
        decode_whole(tmp_path / "c.txt")
