"""A run's folder whose encoders are wrong as often as a test asks for: predictions, their real scores, results.json."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import yaml

from mmpt.superb.statistics.encoder_in_run import EncoderInRun
from mmpt.superb.statistics.summary import add_statistics
from mmpt.upstream.s3prl_runner.experiment import score
from mmpt.upstream.s3prl_runner.tasks import superb_task

SPEAKERS = 12
ITEMS = 10  # of each speaker
HOP, FRAMES = 160, 200


def write(root: Path, wrong: dict[str, dict[str, float]], seeds=(1,), rates=(0.1,), intervals=True) -> Path:
    """Write the run's folder and return it.

    Args:
        root: a new folder.
        wrong: encoder → task → share of words, phones, clips or frames that are wrong.
        seeds: of the heads.
        rates: that dev chose from; the last one was chosen.
        intervals: False leaves out what a results.json had not before there were intervals.
    """
    jobs, summary = [], []
    for name, tasks in wrong.items():
        for task, share in tasks.items():
            own = [_job(root, task, name, seed, rates[-1], share) for seed in seeds]
            jobs += own
            jobs += [{**job, "lr": rate, "chosen": False, "scores": {}} for rate in rates[:-1] for job in own]
            summary.append(_entry(own))
    encoders = [{"name": name, "upstream": "fbank", "checkpoint": None, "sha256": None} for name in wrong]
    content = {"notes": [], "command": "", "encoders": encoders, "summary": summary, "jobs": jobs}
    if intervals:
        assert not add_statistics(summary, {name: EncoderInRun(name, content, root) for name in wrong})
    (root / "results.json").write_text(json.dumps(content))
    return root


def _job(root: Path, task: str, encoder: str, seed: int, rate: float, share: float) -> dict:
    folder = root / task / encoder / f"lr{rate}-seed{seed}"
    experiment = folder / "experiment"
    experiment.mkdir(parents=True)
    draw = np.random.default_rng([seed, *encoder.encode()])
    expert = WRITE[task](experiment, root / "corpora", share, draw)
    (experiment / "config_2026.yaml").write_text(yaml.safe_dump({"downstream_expert": expert}))
    split = superb_task(task).test_split
    scores = {split: score(experiment, task, split)}
    about = {"task": task, "encoder": encoder, "lr": rate, "seed": seed, "state": "evaluated", "chosen": True}
    return {**about, "dev_score": 0.5, "steps": 10, "folder": str(folder), "scores": scores}


def _entry(jobs: list[dict]) -> dict:
    first, split = jobs[0], superb_task(jobs[0]["task"]).test_split
    scores = [job["scores"][split] for job in jobs]
    entry = {name: first[name] for name in ("task", "encoder", "lr")} | {"split": split, "best_on_dev": True}
    entry |= {"seeds": [job["seed"] for job in jobs], "utterances": scores[0]["utterances"]}
    for metric in scores[0].keys() - {"utterances"}:
        values = [one[metric] for one in scores]
        std = float(np.std(values, ddof=1)) if len(values) > 1 else None
        entry[metric] = {"mean": float(np.mean(values)), "std": std, "values": values}
    return entry


def _lines(file: Path, lines: list[str]) -> None:
    file.write_text("".join(line + "\n" for line in lines))


def _ks(folder: Path, corpora: Path, share: float, draw: np.random.Generator) -> dict:
    clips = [f"yes-{speaker:08x}_nohash_{item}.wav" for speaker in range(SPEAKERS) for item in range(ITEMS)]
    _lines(folder / "test_truth.txt", [f"{clip} yes" for clip in clips])
    _lines(folder / "test_predict.txt", [f"{clip} {'no' if draw.random() < share else 'yes'}" for clip in clips])
    return {}


def _ic(folder: Path, corpora: Path, share: float, draw: np.random.Generator) -> dict:
    clips = {f"clip{number}": f"voice{number % SPEAKERS}" for number in range(SPEAKERS * ITEMS)}
    (corpora / "data").mkdir(parents=True, exist_ok=True)
    with (corpora / "data/test_data.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, ["path", "speakerId"])
        rows.writeheader()
        rows.writerows({"path": f"wavs/{clip}.wav", "speakerId": voice} for clip, voice in clips.items())
    _lines(folder / "test_truth.csv", [f"{clip},on,lamp,none" for clip in clips])
    predicted = [f"{clip},{'off' if draw.random() < share else 'on'},lamp,none" for clip in clips]
    _lines(folder / "test_predict.csv", predicted)
    return {"datarc": {"file_path": str(corpora)}}


def _texts(folder: Path, name: str, words: tuple[str, str], share: float, draw: np.random.Generator) -> dict:
    utterances = [f"{speaker}-1-{item:04d}" for speaker in range(1, SPEAKERS + 1) for item in range(ITEMS)]
    right, wrong = words
    _lines(folder / f"{name}-ref.ark", [f"{utterance} {' '.join([right] * 5)}" for utterance in utterances])
    said = [[wrong if draw.random() < share else right for _ in range(5)] for _ in utterances]
    _lines(folder / f"{name}-hyp.ark", [f"{key} {' '.join(text)}" for key, text in zip(utterances, said)])
    return {}


def _pr(folder: Path, corpora: Path, share: float, draw: np.random.Generator) -> dict:
    return _texts(folder, "test", ("AH", "OW"), share, draw)


def _asr(folder: Path, corpora: Path, share: float, draw: np.random.Generator) -> dict:
    return _texts(folder, "test-clean-noLM", ("WORD", "WARD"), share, draw)


def _sd(folder: Path, corpora: Path, share: float, draw: np.random.Generator) -> dict:
    """Recordings of 2 s in which both speak all but the first and last moment."""
    (folder / "scoring/predictions").mkdir(parents=True)
    (folder / "frame_shift").write_text(f"{HOP}\n")
    kaldi, seconds = corpora / "diarization", FRAMES * HOP / 16000
    kaldi.mkdir(parents=True, exist_ok=True)
    names = {f"rec{number}": (f"s{number % SPEAKERS}", f"s{(number + 1) % SPEAKERS}") for number in range(3 * SPEAKERS)}
    spoken = [(name, speaker) for name, pair in names.items() for speaker in pair]
    times = f"0.1 {seconds - 0.1:.1f}"
    _lines(kaldi / "segments", [f"{name}_{speaker} {name} {times}" for name, speaker in spoken])
    _lines(kaldi / "utt2spk", [f"{name}_{speaker} {speaker}" for name, speaker in spoken])
    _lines(kaldi / "reco2dur", [f"{name} {seconds}" for name in names])
    _lines(kaldi / "wav.scp", [f"{name} {name}.wav" for name in names])
    length = f"{seconds - 0.2:.1f}"
    _lines(kaldi / "rttm", [f"SPEAKER {name} 1 0.1 {length} <NA> <NA> {speaker} <NA>" for name, speaker in spoken])
    active = np.zeros((FRAMES, 2))
    active[10:-10] = 1
    for name in names:
        flipped = draw.random(active.shape) < share
        with h5py.File(folder / "scoring/predictions" / f"{name}.h5", "w") as file:
            file["T_hat"] = np.abs(active - flipped) * 0.8 + 0.1
    return {"datarc": {"chunk_size": 2000}, "loaderrc": {"test_dir": str(kaldi)}}


WRITE = {"ks": _ks, "ic": _ic, "pr": _pr, "asr": _asr, "sd": _sd}
