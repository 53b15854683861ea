"""A study's folder with made-up scores: study.json and results.json, without encoders and predictions."""

import json
from pathlib import Path

from mmpt.study.pairs import pairs, translation_pairs
from mmpt.study.plan import StudyEncoder
from mmpt.study.record import Bleu, MadeEncoder, Study, TranslationTest, write_study
from mmpt.study.scored import COUNTED
from mmpt.superb.statistics.holm import holm

HALF = 0.04  # of each interval; differences beyond it are told apart
WHOLE = {"fbank": 0.1, "untrained": 0.2, "pretrained": 0.3, "midtrained": 0.5, "longer": 0.4, "also": 0.9}  # all help
NO_USE = dict.fromkeys(WHOLE, 0.2)  # no stage changes anything


def encoders(seeds=(0,), objectives=("clr", "mae", "mae+clr"), sets=("sounds",)) -> list[MadeEncoder]:
    """The encoders of a plan: en-it from each and from nothing, en-de from the first; as `plan.Plan` names them."""
    found = [MadeEncoder("fbank", "fbank"), MadeEncoder("untrained", "untrained", seed=seeds[0])]
    for seed in seeds:
        end = f"_seed{seed}" if len(seeds) > 1 else ""
        whole = {name: f"{name.replace('+', '_')}{end}" for name in objectives}
        found += [MadeEncoder(name, "pretrained", o, "all", seed=seed) for o, name in whole.items()]
        found += [MadeEncoder(f"clr_{name}{end}", "pretrained", "clr", name, seed=seed) for name in sets]
        found += [MadeEncoder(f"none_it{end}", "midtrained", language="it", seed=seed)]
        starts = [*((o, name, "it") for o, name in whole.items()), ("clr", whole["clr"], "de")]
        for objective, start, language in starts:
            name = f"{objective.replace('+', '_')}_{language}{end}"
            found.append(MadeEncoder(name, "midtrained", objective, "all", language, start, seed))
        found.append(MadeEncoder(f"clr_longer{end}", "longer", "clr", "all", start=whole["clr"], seed=seed))
    return found


def write(
    folder: Path,
    levels: dict[str, float],
    made=None,
    bleu: dict[str, float] | None = None,
    changed: dict[tuple[str, str], float] | None = None,
    left_out: tuple[tuple[str, str], ...] = (),
) -> Path:
    """Write the folder and return it.

    Args:
        folder: a new one.
        levels: kind → share that is right, on all tasks.
        made: the encoders.
        bleu: encoder → BLEU; a test's p is 0.001 if two are further apart than 1.
        changed: encoder and task → another share that is right.
        left_out: encoders and tasks that are not scored yet.
    """
    made = made or encoders()
    shares = {
        (e.name, task): (changed or {}).get((e.name, task), levels[e.kind])
        for e in made
        for task in COUNTED
        if (e.name, task) not in left_out
    }
    folder.mkdir(parents=True, exist_ok=True)
    _write_study(folder, made, bleu or {})
    content = {
        "notes": ["SMOKE RUN"],
        "command": "mmpt study",
        "software": {},
        "encoders": [_about(e) for e in made],
        "summary": [_entry(name, task, share) for (name, task), share in shares.items()],
        "comparisons": _comparisons(made, shares),
        "jobs": [_job(e, task, (e.name, task) in shares) for e in made for task in COUNTED],
    }
    (folder / "results.json").write_text(json.dumps(content))
    return folder


def _write_study(folder: Path, made: list[MadeEncoder], bleu: dict[str, float]) -> None:
    known = [
        MadeEncoder(
            *(getattr(e, name) for name in StudyEncoder.__dataclass_fields__),
            bleu=Bleu(bleu[e.name], bleu[e.name] - 0.7, bleu[e.name] + 0.7) if e.name in bleu else None,
            minutes=7.5 if e.kind == "midtrained" else 3.2 if e.kind in ("pretrained", "longer") else None,
        )
        for e in made
    ]
    tests = tuple(
        TranslationTest(first, second, 0.001 if abs(bleu[first] - bleu[second]) > 1 else 0.4)
        for first, second in translation_pairs(made)
        if first in bleu and second in bleu
    )
    cut = ("One pre-training seed.", "Mid-training of at most 8 minutes.")
    write_study(folder, Study("evening", tuple(known), cut, (), tests, (("command", "mmpt study"),)))


def _about(e: MadeEncoder) -> dict:
    is_ours = e.kind not in ("fbank", "also")
    stages = {"provenance": {"stages": [{"stage": "untrained"}]}, "checkpoint": "encoder.pt"} if is_ours else {}
    about = {"name": e.name, "upstream": "mmpt_av" if is_ours else e.name, "sha256": None, "checkpoint": None}
    return {**about, "provenance": None, **stages}


def _score(task: str, share: float) -> float:
    return share if task in ("ks", "ic") else 1 - share


def _entry(name: str, task: str, share: float) -> dict:
    _, split, metric = COUNTED[task]
    score = _score(task, share)
    interval = {"low": max(0, score - HALF), "high": score + HALF, "method": "bootstrap over 12 clusters"}
    figure = {"mean": score, "std": None, "values": [score], "interval": interval}
    words = {**figure, "mean": 0.9, "values": [0.9], "interval": {**interval, "low": 0.85, "high": 0.95}}
    own = {metric: figure, **({"wer": words} if task == "asr" else {})}
    about = {"task": task, "encoder": name, "split": split, "lr": 0.1, "seeds": [1], "utterances": 60}
    return {**about, "best_on_dev": True, "lr_grid": [0.1, 0.3], **own}


def _comparisons(made: list[MadeEncoder], shares: dict[tuple[str, str], float]) -> list[dict]:
    rows = []
    for first, second in pairs(made):
        for task, (_, split, metric) in COUNTED.items():
            if (first, task) in shares and (second, task) in shares:
                scores = [_score(task, shares[name, task]) for name in (first, second)]
                difference = scores[1] - scores[0]
                about = {"task": task, "split": split, "metric": metric, "baseline": first, "encoder": second}
                about |= {"scores": scores, "difference": difference, "smallest": 0.05, "items": 60, "clusters": 12}
                p = 0.0001 if abs(difference) > HALF else 0.4
                rows.append({**about, "low": difference - HALF, "high": difference + HALF, "p": p, "mcnemar_p": None})
    for row, corrected in zip(rows, holm([row["p"] for row in rows])):
        row |= {"p_corrected": corrected, "told_apart": corrected < 0.05}
    return rows


def _job(e: MadeEncoder, task: str, is_scored: bool) -> dict:
    about = {"task": task, "encoder": e.name, "lr": 0.1, "seed": 1, "chosen": is_scored, "folder": f"{task}/{e.name}"}
    return {**about, "state": "evaluated" if is_scored else "not done"}
