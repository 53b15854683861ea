"""Synthetic videos that cost as much to decode as real ones: moving textures with camera noise, and noisy stereo sound.

Nothing in them was recorded. 340x256 pixels, 30 pictures a second, H.264 (libx264, its default key frames) at about
0.7 Mbit/s and AAC at 128 kbit/s: close to the copies of Kinetics scaled to 256 pixels on the short side.
"""

from pathlib import Path

import av
import numpy

WIDTH, HEIGHT, FPS, SOUND_RATE = 340, 256, 30, 44100
NOISE = 5.5  # grey levels, standard deviation
GRAINS = 16  # different pictures of noise


def write_video(path: Path, seconds: int, seed: int, key_every_s: int | None = None) -> None:
    """Write an mp4 with pictures and sound, and a key frame every `key_every_s` (None: libx264's default)."""
    random = numpy.random.default_rng(seed)
    options = {} if key_every_s is None else {"g": str(key_every_s * FPS), "sc_threshold": "0"}
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.thread_count = 1
        audio = container.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        for picture in pictures(seconds * FPS, random):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(sound(seconds, random), format="fltp", layout="stereo")
        frame.sample_rate = SOUND_RATE
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def pictures(number: int, random: numpy.random.Generator):
    """Yield what a camera sees that pans over a texture with an object moving before it, and noise."""
    scene = texture(3 * HEIGHT, 3 * WIDTH, random)
    thing = texture(HEIGHT // 2, HEIGHT // 2, random)
    grains = random.normal(0, NOISE, (GRAINS, HEIGHT, WIDTH, 1)).astype(numpy.int16)
    for n in range(number):
        t = n / FPS
        y, x = (
            round(side * (1 + 0.8 * numpy.sin(speed * t + seed)))
            for side, speed, seed in ((HEIGHT, 0.21, 0), (WIDTH, 0.13, 1))
        )
        picture = scene[y : y + HEIGHT, x : x + WIDTH].copy()
        y, x = (round(side * (0.25 + 0.2 * numpy.sin(speed * t))) for side, speed in ((HEIGHT, 1.1), (WIDTH, 0.7)))
        picture[y : y + len(thing), x : x + len(thing)] = thing
        yield (picture + grains[random.integers(GRAINS)]).clip(0, 255).astype(numpy.uint8)


def texture(height: int, width: int, random: numpy.random.Generator) -> numpy.ndarray:
    """Return patches of all sizes (H, W, 3) int16; large ones are stronger than small ones, as in photographs."""
    total = numpy.full((height, width, 3), 128.0)
    for cells in (4, 8, 16, 32, 64, 128):
        small = random.normal(0, 1, (cells + 1, cells + 1, 3))
        y, x = (numpy.linspace(0, cells, side, endpoint=False) for side in (height, width))
        y0, x0 = y.astype(int), x.astype(int)
        dy, dx = (y - y0)[:, None, None], (x - x0)[None, :, None]
        above, below = (small[row][:, x0] * (1 - dx) + small[row][:, x0 + 1] * dx for row in (y0, y0 + 1))
        total += 45 * (4 / cells) ** 0.7 * (above * (1 - dy) + below * dy)
    return total.clip(0, 255).astype(numpy.int16)


def sound(seconds: int, random: numpy.random.Generator) -> numpy.ndarray:
    """Return a wavering tone in noise, (2, samples) float32."""
    t = numpy.arange(seconds * SOUND_RATE) / SOUND_RATE
    wave = 0.3 * numpy.sin(2 * numpy.pi * (200 + 50 * numpy.sin(t)) * t) + random.normal(0, 0.05, t.size)
    return numpy.stack([wave, 0.8 * wave]).astype(numpy.float32)


def repeat(source: Path, path: Path, times: int) -> None:
    """Write a file that plays `source` several times, not encoded again; it costs as much as one of that length."""
    with av.open(str(path), "w", format="mp4") as container:
        copies: dict[int, av.stream.Stream] = {}
        for number in range(times):
            with av.open(str(source)) as original:
                if not copies:
                    copies = {stream.index: container.add_stream_from_template(stream) for stream in original.streams}
                film = original.streams.video[0]
                length_s = film.duration * film.time_base
                for packet in original.demux():
                    # Sound before the start or after the pictures' end would overlap with the next copy.
                    if packet.dts is None or (
                        packet.stream.type == "audio" and not 0 <= packet.pts * packet.time_base < length_s
                    ):
                        continue
                    shift = int(number * length_s / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = copies[packet.stream.index]
                    container.mux(packet)
