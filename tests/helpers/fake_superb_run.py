"""What scripts/superb/run.py leaves behind, without its training: noise corpora, predictions that are half right."""

import json
from argparse import Namespace
from pathlib import Path

import h5py
import numpy as np
import torch
import yaml

from mmpt.upstream.mmpt_av import Encoder, EncoderConfig, save_encoder
from mmpt.upstream.mmpt_av.checkpoint import file_hash
from mmpt.upstream.repository import REPOSITORY
from mmpt.upstream.s3prl_runner.experiment import score
from mmpt.upstream.s3prl_runner.tasks import TASKS

from helpers import stock_mocks

VOCABULARY = REPOSITORY / "downstream_configs" / "vocabulary"
HOP = 640
PRE = {"stage": "pretrain", "objective": "clr", "data": "lrs3", "clips": 31982, "steps": 200}
MID = {
    "stage": "midtrain",
    "objective": "translation",
    "data": "must_c en-it",
    "language": "en-it",
    "segments": 240000,
    "steps": 600,
}
SCORES = {"ks": "acc", "ic": "acc", "pr": "per", "sd": "der", "asr": "wer"}
HEAD = {"projector.weight": (8, 4), "projector.bias": (8,)}  # 40 parameters, and 5 weights of layers


def encoder(folder: Path, *stages: dict, seed: int = 0) -> Path:
    """A tiny encoder checkpoint with this provenance."""
    torch.manual_seed(seed)
    save_encoder(Encoder(EncoderConfig.preset("tiny")), folder / "encoder.pt", {"stages": list(stages)})
    return folder / "encoder.pt"


def results(root: Path, encoders: dict[str, Path], seeds=(1,), tasks=tuple(SCORES), made_up=False) -> Path:
    """A run's folder with results.json; the corpora lie beside it. `made_up`: scores that depend on the seed alone."""
    corpora, out = root / "corpora", root / "out"
    if not corpora.is_dir():
        stock_mocks.superb(corpora)
    jobs, summary = [], []
    for name in encoders:
        for task in tasks:
            for seed in seeds:
                jobs.append(_job(out, corpora, task, name, seed))
                if made_up:
                    jobs[-1]["scores"][jobs[-1]["split"]] = {SCORES[task]: 0.5 + 0.01 * seed, "utterances": 6}
            values = [
                job["scores"][job["split"]][SCORES[task]]
                for job in jobs
                if (job["task"], job["encoder"]) == (task, name)
            ]
            entry = {
                "task": task,
                "encoder": name,
                "split": jobs[-1]["split"],
                "seeds": list(seeds),
                "best_on_dev": True,
                "utterances": 6,
                "lr": 0.1,
            }
            std = float(np.std(values, ddof=1)) if len(values) > 1 else None
            summary.append({**entry, SCORES[task]: {"mean": float(np.mean(values)), "std": std, "values": values}})
    about = [
        {
            "name": name,
            "upstream": "mmpt_av",
            "checkpoint": str(file),
            "sha256": file_hash(file),
            "provenance": torch.load(file, weights_only=True)["provenance"],
        }
        for name, file in encoders.items()
    ]
    content = {
        "notes": ["SMOKE RUN"],
        "command": "here",
        "software": {},
        "encoders": about,
        "summary": summary,
        "jobs": jobs,
    }
    (out / "results.json").write_text(json.dumps(content))
    return out


def _job(out: Path, corpora: Path, task: str, encoder: str, seed: int) -> dict:
    folder, known = out / task / encoder / f"lr-default-seed{seed}", next(item for item in TASKS if item.name == task)
    experiment = folder / "experiment"
    experiment.mkdir(parents=True)
    (PREDICT[task])(experiment, corpora)
    settings = yaml.safe_dump({"downstream_expert": config(task, corpora)})
    (experiment / "config_2026-01-01-00-00-00.yaml").write_text(settings)
    if task == "sd":
        dev = folder / "dev"
        _diarize(dev, corpora, "dev")
    content = {
        "Step": 3,
        "Args": Namespace(upstream_trainable=False),
        "Config": {"runner": {"total_steps": 3}, "downstream_expert": config(task, corpora)},
        "Downstream": {"best_score": torch.ones(1), **{key: torch.zeros(shape) for key, shape in HEAD.items()}},
        "Featurizer": {"weights": torch.zeros(5)},
    }
    torch.save(content, experiment / known.best_checkpoint)
    return {
        "task": task,
        "encoder": encoder,
        "lr": 0.1,
        "seed": seed,
        "state": "evaluated",
        "chosen": True,
        "smoke": True,
        "changed": [],
        "dev_curve": {"1": 0.2, "3": 0.4},
        "dev_score": 0.4,
        "checkpoint": known.best_checkpoint,
        "checkpoint_step": 3,
        "checkpoint_is_best_on_dev": True,
        "layer_weights": [0.2] * 5,
        "scores": {known.test_split: score(experiment, task, known.test_split)},
        "prediction_of_step": 3,
        "folder": str(folder),
        "split": known.test_split,
    }


def config(task: str, corpora: Path) -> dict:
    """What of S3PRL's configuration says where the corpora are."""
    libri = str(corpora / "LibriSpeech")
    return {
        "ks": {"datarc": {"speech_commands_test_root": str(corpora / "speech_commands_test_set_v0.01")}},
        "ic": {"datarc": {"file_path": str(corpora / "fluent_speech_commands_dataset")}},
        "pr": {
            "corpus": {"path": libri, "test": ["test-clean"], "lexicon": ["samples-lexicon.txt"]},
            "text": {"vocab_file": str(VOCABULARY / "phoneme.txt")},
        },
        "asr": {
            "datarc": {
                "libri_root": libri,
                "test-clean": ["test-clean"],
                "dict_path": str(VOCABULARY / "character.txt"),
            }
        },
        "sd": {
            "datarc": {"chunk_size": 2000},
            "loaderrc": {"test_dir": str(corpora / "diarization/test"), "dev_dir": str(corpora / "diarization/dev")},
        },
    }[task]


def _write(folder: Path, names: tuple[str, str], predicted: list[str], true: list[str]) -> None:
    for name, lines in zip(names, (predicted, true)):
        (folder / name).write_text("".join(line + "\n" for line in lines))


def _ks(folder: Path, corpora: Path) -> None:
    files = sorted((corpora / "speech_commands_test_set_v0.01").glob("*/*.wav"))
    true = [f"{file.parent.name}-{file.name} {file.parent.name}" for file in files]
    predicted = [f"{line.split()[0]} up" if number % 2 else line for number, line in enumerate(true)]
    _write(folder, ("test_predict.txt", "test_truth.txt"), predicted, true)


def _ic(folder: Path, corpora: Path) -> None:
    del corpora
    true = [f"test{i},{('on', 'off')[i % 2]},{('lamp', 'heat')[i // 2 % 2]},none" for i in range(6)]
    _write(folder, ("test_predict.csv", "test_truth.csv"), [line.replace("off", "on") for line in true], true)


def _utterances(corpora: Path) -> list[tuple[str, list[str]]]:
    lines = (corpora / "LibriSpeech/test-clean/2/7/2-7.trans.txt").read_text().splitlines()
    return [(line.split()[0], line.split()[1:]) for line in lines]


def _pr(folder: Path, corpora: Path) -> None:
    true = [f"{key} {' '.join(stock_mocks.WORDS[word] for word in words)}" for key, words in _utterances(corpora)]
    _write(
        folder, ("test-hyp.ark", "test-ref.ark"), [line.replace("OW1", "AA0").replace(" W", "") for line in true], true
    )


def _asr(folder: Path, corpora: Path) -> None:
    true = [f"{key} {' '.join(words)}" for key, words in _utterances(corpora)]
    _write(
        folder,
        ("test-clean-noLM-hyp.ark", "test-clean-noLM-ref.ark"),
        [line.replace("WORLD", "WORD A").replace(" HELLO", "") for line in true],
        true,
    )


def _sd(folder: Path, corpora: Path) -> None:
    _diarize(folder, corpora, "test")


def _diarize(folder: Path, corpora: Path, split: str) -> None:
    """Probabilities that follow the truth roughly, of 4 s recordings."""
    (folder / "scoring" / "predictions").mkdir(parents=True)
    (folder / "frame_shift").write_text(f"{HOP}\n")
    generator, times = np.random.default_rng(0), np.arange(4 * 16000 // HOP) * HOP / 16000
    for index in range(2):
        active = np.stack([(times >= 0.2) & (times < 2.4), (times >= 1.9) & (times < 3.7)], axis=1)
        likely = np.clip(0.25 + 0.5 * active + 0.15 * generator.standard_normal(active.shape), 0, 1).astype(np.float32)
        with h5py.File(folder / "scoring" / "predictions" / f"{split}{index}.h5", "w") as file:
            file["T_hat"] = likely


PREDICT = {"ks": _ks, "ic": _ic, "pr": _pr, "asr": _asr, "sd": _sd}
