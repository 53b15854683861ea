"""One job of a SUPERB run: a task, an encoder, a learning rate and a seed, in a folder of its own.

A job's folder holds `job.json` (what it is), `experiment/` (S3PRL's own; for SD also `dev/`), `train.log`, `evaluate.log`, and at the end of each
phase `trained.json` and `result.json`; `failed.txt` says why it ended early. work.py does the work.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.mmpt_av import load_encoder
from mmpt.upstream.mmpt_av.checkpoint import file_hash
from mmpt.upstream.repository import find_samples
from mmpt.upstream.s3prl_runner import arguments, defaults, overrides
from mmpt.upstream.s3prl_runner.data import read_yaml
from mmpt.upstream.s3prl_runner.launcher import surroundings
from mmpt.upstream.s3prl_runner.tasks import find_task

PROGRESS = re.compile(r"overall:[^|]*\|[^|]*\| *(\d+)/(\d+)")  # S3PRL's progress bar
TAIL_BYTES = 1 << 14


@dataclass(frozen=True)
class Encoder:
    """What is scored: `upstream` is S3PRL's name for it (mmpt_av, fbank, ...), `checkpoint` None for a stock one."""

    name: str
    upstream: str
    checkpoint: Path | None = None

    @cached_property
    def identity(self) -> str:
        """The checkpoint's SHA-256, or S3PRL's name."""
        return file_hash(self.checkpoint) if self.checkpoint else self.upstream

    def provenance(self) -> dict | None:
        """Where the weights come from, as the checkpoint says."""
        return load_encoder(self.checkpoint).provenance if self.checkpoint else None


@dataclass(frozen=True)
class Options:
    """What all jobs of a run have in common. Paths are absolute; None leaves the launcher's default.

    limit: steps of a smoke run, in place of the configuration's. settings: further `-o` (dotted, without `config.`).
    configs: task → YAML file in place of ours. threads: of each process, for OMP_NUM_THREADS. samples: gives the folder of the
    built samples, for a run that names no data.
    """

    data_root: str | None = None
    device: str = "cpu"
    cache: str | None = None
    cache_dtype: str | None = None
    cache_limit: float | None = None
    frame_hop: int | None = None
    limit: int | None = None
    fine_tune: bool = False
    lexicon: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    configs: tuple[tuple[str, str], ...] = ()
    workers: int | None = None
    threads: int = 1
    samples: Callable[[], Path] = find_samples


class JobFolder:
    """Where S3PRL's files lie in a job's folder."""

    folder: Path

    @property
    def experiment(self) -> Path:
        return self.folder / "experiment"

    @property
    def dev_diarization(self) -> Path:
        """SD's predictions of dev, as S3PRL writes those of test: frame_shift, scoring/predictions/."""
        return self.folder / "dev"


@dataclass(frozen=True)
class Job(JobFolder):
    """See the module. `lr` None is the configuration's own."""

    task: str
    encoder: Encoder
    lr: str | None
    seed: int
    folder: Path
    options: Options = field(default_factory=Options)

    @property
    def name(self) -> str:
        return f"{self.task} {self.encoder.name}" + (f" lr {self.lr}" if self.lr else "") + f" seed {self.seed}"

    @cached_property
    def plan(self) -> defaults.Plan:
        """The stock runner's command line, filled in as run_downstream.py would; without `-g`, whose file `prepare` writes."""
        return defaults.fill(arguments.parse(self.argv(prepared=False)), surroundings(self.options.samples))

    @cached_property
    def config(self) -> dict:
        """The settings that S3PRL will see: the YAML file under the overrides."""
        config = read_yaml(Path(self.plan.values["config"]))
        for key, text in overrides.read(self.plan.values["override"]).items():
            section, *path, last = key.split(".")
            if section == "config":
                inner = config
                for part in path:
                    inner = inner.setdefault(part, {})
                inner[last] = overrides.value(text)
        return config

    @property
    def steps(self) -> int:
        return self.config["runner"]["total_steps"]

    @property
    def on_samples(self) -> bool:
        """Whether the built samples and their shorter settings are used."""
        return Path(self.plan.values["config"]).parent.name == "quick"

    @property
    def is_smoke(self) -> bool:
        """Whether the figures can be compared with nothing published, whatever the encoder."""
        return self.options.limit is not None or self.on_samples

    @property
    def changed(self) -> list[str]:
        """What stands in place of the task's own settings, as it was asked for; the learning rate alone is free in the constrained track."""
        configs = [f"--config {task}={file}" for task, file in self.options.configs if task == self.task]
        return [f"--set {key}={value}" for key, value in self.options.settings if key != "optimizer.lr"] + configs

    def argv(self, prepared: bool = True) -> list[str]:
        """Arguments of run_downstream.py for a new training."""
        o, e = self.options, self.encoder
        argv = [
            "-u",
            e.upstream,
            "-d",
            find_task(self.task).downstream,
            "-p",
            str(self.experiment),
            "--seed",
            str(self.seed),
            "--device",
            o.device,
        ]
        argv += ["-k", str(e.checkpoint)] if e.checkpoint else []
        argv += ["-c", dict(o.configs)[self.task]] if self.task in dict(o.configs) else []
        argv += ["--data-root", o.data_root] if o.data_root else []
        argv += ["--lexicon", *o.lexicon] if o.lexicon and self.task == "pr" else []
        argv += ["-f"] if o.fine_tune else []
        argv += ["-g", str(self.folder / "mmpt_av.yaml")] if self.own_hop() and prepared else []
        parts = [f"config.{key}={value}" for key, value in self.changes().items()]
        return argv + (["-o", ",,".join(parts)] if parts else []) + self.cache_argv()

    def cache_argv(self) -> list[str]:
        """The cache's flags, which no checkpoint keeps."""
        o = self.options
        if o.cache is None or self.encoder.checkpoint is None:
            return []
        argv = ["--cache", o.cache]
        argv += ["--cache-dtype", o.cache_dtype] if o.cache_dtype else []
        return argv + (["--cache-limit", str(o.cache_limit)] if o.cache_limit else [])

    def own_hop(self) -> bool:
        return self.options.frame_hop is not None and self.encoder.checkpoint is not None

    def changes(self) -> dict[str, str]:
        """Settings in place of the YAML's, dotted."""
        o, changes = self.options, dict(self.options.settings)
        if self.lr is not None:
            changes["optimizer.lr"] = self.lr
        if o.limit is not None:
            runner = ("total_steps", "eval_step", "save_step", "log_step")
            changes |= {f"runner.{key}": str(o.limit) for key in runner}
        if o.workers is not None:
            changes[find_task(self.task).workers_key] = str(o.workers)
        return changes

    def fingerprint(self) -> str:
        """What the result hangs on: settings, encoder, seed, data and S3PRL."""
        config = _without(self.config, "num_workers", "max_keep")
        o = self.options
        lexicons = [file_hash(file) for file in o.lexicon] if self.task == "pr" else []
        rest = [
            self.encoder.identity,
            self.seed,
            o.frame_hop if self.own_hop() else None,
            o.fine_tune,
            lexicons,
            _data_mark(config),
            version("s3prl"),
        ]
        return hashlib.sha256(json.dumps([config, rest], sort_keys=True).encode()).hexdigest()

    def prepare(self, replace: bool = False) -> None:
        """Makes the folder, or finds it as it should be. `replace`: what was made with other settings is deleted.

        Raises:
            InputError: the folder is of a job with other settings, encoder or data.
        """
        about, fingerprint = self.folder / "job.json", self.fingerprint()
        if about.is_file() and json.loads(about.read_text(encoding="utf-8"))["fingerprint"] != fingerprint:
            if not replace:
                raise InputError(
                    f"{self.folder}: holds a job of other settings, another encoder or other data; give another --out, or --fresh to delete it"
                )
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.own_hop():
            write_text(self.folder / "mmpt_av.yaml", f"frame_hop: {self.options.frame_hop}\n")
        if not about.is_file():
            about_job = {"name": self.name, "fingerprint": fingerprint, "command": self.command()}
            write_text(about, json.dumps(about_job, indent=2) + "\n")

    def command(self) -> str:
        """What a person would type."""
        return shlex.join(["python", "run_downstream.py", *self.argv()])

    def trained(self) -> dict | None:
        return read_json(self.folder / "trained.json")

    def result(self) -> dict | None:
        return read_json(self.folder / "result.json")

    def failure(self) -> str | None:
        """Why it ended early, with the end of its log; None if it did not."""
        file = self.folder / "failed.txt"
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def step(self) -> int:
        """How far the training has come, by the end of its log."""
        if self.trained():
            return self.steps
        try:
            with (self.folder / "train.log").open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                seen = PROGRESS.findall(file.read().decode(errors="replace"))
        except OSError:
            return 0
        return int(seen[-1][0]) if seen else 0


def read_json(file: Path) -> dict | None:
    """What the file holds; None where there is none."""
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _without(config: dict, *keys: str) -> dict:
    """Settings that no result hangs on, left out."""
    return {k: _without(v, *keys) if isinstance(v, dict) else v for k, v in config.items() if k not in keys}


def _data_mark(config: dict) -> list[str]:
    """Version of the built samples, where the configuration leads to them; other corpora are known by their paths."""
    paths = [Path(item) for item in _texts(config) if item.startswith("/")]
    marks = sorted({parent / "built.json" for path in paths for parent in list(path.parents)[:3]})
    found = (json.loads(mark.read_text(encoding="utf-8")) for mark in marks if mark.is_file())
    return [f"{built['version']} {built['sources']}" for built in found]


def _texts(item: object) -> Iterator[str]:
    """Every string of a configuration."""
    if isinstance(item, str):
        yield item
    elif isinstance(item, (dict, list)):
        for one in item.values() if isinstance(item, dict) else item:
            yield from _texts(one)
