"""The waveform of a part of a media file."""

import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy
import torch
from torch import Tensor

from mmpt.training.media import CUT_S, MediaError, MediaStream, media_errors
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

PREROLL_S = 0.1  # decoded and dropped before the wanted part: a decoder's first pieces after a seek are wrong
GAP_S = 0.1  # a larger jump of the time stamps is a hole in the sound; smaller ones are rounding of the container


def decode_audio(path: Path, start_s: float, duration_s: float) -> Tensor:
    """Return the waveform (samples,) of a part of a file, mixed to mono at 16 kHz, in [-1, 1].

    Missing sound (before a late start, in a hole) becomes zeros, so that sound and pictures stay in step. If the sound
    ends early, the waveform is shorter.

    Raises:
        MediaError: the file cannot be opened, has no sound, none in this part, or is cut off in it.
    """
    wav = numpy.zeros(round(duration_s * SAMPLE_RATE), numpy.float32)
    with media_errors("audio"), MediaStream(path, "audio") as stream:
        begin, end = place_pieces(wav, resampled(stream.decoded(max(0.0, start_s - PREROLL_S)), start_s))
        if begin is None:
            raise MediaError(f"no sound from {start_s:.2f} s on: is the file cut off or damaged?")
        begin_s, end_s = (start_s + samples / SAMPLE_RATE for samples in (begin, end))
        if end <= 0:
            raise MediaError(f"no sound at {start_s:.2f} s, it ends at {end_s:.2f} s")
        if begin >= len(wav):
            raise MediaError(f"no sound at {start_s:.2f} s, it begins at {begin_s:.2f} s")
        missing_s = stream.expected_end(start_s + duration_s) - end_s
        if missing_s > CUT_S:
            raise MediaError(f"ends at {end_s:.2f} s, {missing_s:.2f} s too early: is the file cut off?")
        wav = wav[:end]
        if not numpy.isfinite(wav).all():
            raise MediaError("holds samples that are no numbers")
    return torch.from_numpy(wav).clamp_(-1.0, 1.0)


def decode_whole(path: Path) -> Tensor:
    """Return the waveform (samples,) of a whole file, mixed to mono at 16 kHz, in [-1, 1].

    Raises:
        MediaError: the file cannot be opened, or has no sound.
    """
    with media_errors("audio"), MediaStream(path, "audio") as stream:
        found = list(resampled(stream.decoded(0.0), 0.0))
    wav = numpy.zeros(max((at + len(piece) for at, piece in found), default=0), numpy.float32)
    if not len(wav):
        raise MediaError("audio: holds no sound")
    place_pieces(wav, iter(found))
    return torch.from_numpy(wav).clamp_(-1.0, 1.0)


def place_pieces(wav: numpy.ndarray, pieces_at: Iterator[tuple[int, numpy.ndarray]]) -> tuple[int | None, int]:
    """Copy pieces of sound to their places in `wav`, until it is full.

    Returns:
        The sample numbers where sound began (None if there was none) and ended; both may lie outside of `wav`.
    """
    begin, end = None, -sys.maxsize
    for at, piece in pieces_at:
        begin = at if begin is None else begin
        end = max(end, at + len(piece))
        piece, at = piece[max(0, -at) :], max(0, at)
        piece = piece[: max(0, len(wav) - at)]
        wav[at : at + len(piece)] = piece
        if end >= len(wav):
            break
    return begin, end


def resampled(frames: Iterator[tuple[float, av.AudioFrame]], start_s: float) -> Iterator[tuple[int, numpy.ndarray]]:
    """Yield the frames as pieces of 16 kHz mono: (number of the first sample, counted from `start_s`; samples).

    A new resampler starts where the sound changes its format (channels, rate) or has a hole.
    """
    graph, form, at, due_s = None, None, 0, 0.0
    for time, frame in frames:
        its_form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if its_form != form or abs(time - due_s) > GAP_S:
            for piece in pieces(graph, None):
                yield at, piece
                at += len(piece)
            graph, form, at = mono_graph(frame), its_form, round((time - start_s) * SAMPLE_RATE)
        due_s = time + frame.samples / frame.sample_rate
        for piece in pieces(graph, frame):
            yield at, piece
            at += len(piece)
    for piece in pieces(graph, None):
        yield at, piece
        at += len(piece)


def mono_graph(frame: av.AudioFrame) -> av.filter.Graph:
    """Return a filter graph from frames like this one to 16 kHz mono.

    PyAV's own AudioResampler starts a thread on each core for every clip, and mixes channels to more than full scale:
    equal left and right channels come out 1.41 times as loud.
    """
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_abuffer(
        format=frame.format.name, sample_rate=frame.sample_rate, layout=frame.layout.name, time_base=frame.time_base
    )
    resample = graph.add("aresample", rematrix_maxval="1.0")
    form = graph.add("aformat", sample_rates=str(SAMPLE_RATE), sample_fmts="flt", channel_layouts="mono")
    graph.link_nodes(source, resample, form, graph.add("abuffersink")).configure()
    graph.set_audio_frame_size(SAMPLE_RATE)  # a piece a second: each piece has a cost
    return graph


def pieces(graph: av.filter.Graph | None, frame: av.AudioFrame | None) -> Iterator[numpy.ndarray]:
    """Push a frame into the graph and yield what comes out; None yields the rest."""
    if graph is None:
        return
    graph.push(frame)
    while True:
        try:
            yield graph.pull().to_ndarray()[0]
        except (av.error.BlockingIOError, av.error.EOFError):
            return
