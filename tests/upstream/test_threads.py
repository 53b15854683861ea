"""The choice of threads and memory before torch is loaded."""

import subprocess

import pytest

from mmpt.upstream import threads
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder

from helpers.forked_python import REAL_PYTHON

REPORT = """
import os, sys
from mmpt.upstream.threads import prepare_for_model
prepare_for_model(int(sys.argv[1]))
assert "torch" not in sys.modules
print(os.environ.get("OMP_NUM_THREADS"))
"""
CHOICES = [*threads.THREAD_CHOICES, *threads.MEMORY_CHOICES]


@pytest.fixture
def without_torch(monkeypatch):
    """Have the module find neither torch nor a choice of the user; return the list of calls of keep_freed_memory."""
    for name in CHOICES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "sys", type("sys", (), {"modules": {}}))
    kept: list[bool] = []
    monkeypatch.setattr(threads, "keep_freed_memory", lambda: kept.append(True))
    return kept


def chosen(monkeypatch) -> str | None:
    """Return the number of threads that a child process would inherit."""
    return threads.os.environ.get("OMP_NUM_THREADS")


def test_a_small_model_gets_one_thread_and_keeps_memory(without_torch, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "gone")
    monkeypatch.delenv("OMP_NUM_THREADS")
    threads.prepare_for_model(1_000_000)
    assert chosen(monkeypatch) == "1" and without_torch == [True]


def test_a_large_batch_keeps_its_threads_and_lets_them_sleep(without_torch, monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "gone")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    threads.prepare_for_model(1_000_000, states=4_000)
    assert chosen(monkeypatch) is None and without_torch == [True]
    assert threads.os.environ["GOMP_SPINCOUNT"] == "1000"


def test_a_large_model_keeps_the_libraries_choice(without_torch, monkeypatch):
    threads.prepare_for_model(43_000_000)
    assert chosen(monkeypatch) is None and without_torch == []


@pytest.mark.parametrize("name", threads.THREAD_CHOICES)
def test_the_users_choice_of_threads_stands(without_torch, monkeypatch, name):
    monkeypatch.setenv(name, "2")
    threads.prepare_for_model(1_000_000)
    assert chosen(monkeypatch) == ("2" if name == "OMP_NUM_THREADS" else None) and without_torch == [True]


@pytest.mark.parametrize("name", threads.MEMORY_CHOICES)
def test_the_users_choice_of_memory_stands(without_torch, monkeypatch, name):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv(name, "0")
    threads.prepare_for_model(1_000_000)
    assert without_torch == []


def test_a_process_that_has_torch_is_left_alone(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads.prepare_for_model(1)
    assert chosen(monkeypatch) is None


@pytest.mark.slow
def test_torch_is_not_loaded_by_the_choice(monkeypatch):
    for name in CHOICES:
        monkeypatch.delenv(name, raising=False)
    done = subprocess.run([REAL_PYTHON, "-c", REPORT, "1000"], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize("preset", ["tiny", "compact", "base"])
def test_sizes_are_estimated_well(preset, tmp_path):
    config = EncoderConfig.preset(preset)
    exact = sum(parameter.numel() for parameter in Encoder(config).parameters())
    assert threads.encoder_parameters(config) == pytest.approx(exact, rel=0.03)
    assert threads.checkpoint_parameters(tmp_path / "none.pt") == 0


@pytest.mark.parametrize("half", [False, True])
def test_a_file_tells_about_how_many_parameters_it_has(tmp_path, half):
    encoder, file = Encoder(EncoderConfig.preset("tiny")), tmp_path / "encoder.pt"
    save_encoder(encoder, file, {}, half)
    exact = sum(parameter.numel() for parameter in encoder.parameters())
    assert threads.checkpoint_parameters(file) == pytest.approx(exact, rel=0.03)
