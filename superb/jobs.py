"""One job of a SUPERB run: a task, an encoder, a learning rate and a seed, in a folder of its own.

A job's folder holds `job.json` (what it is), `experiment/` (S3PRL's own; for SD also `dev/`), `train.log`,
`evaluate.log`, and after each phase `trained.json` and `result.json`. If the job fails, `failed.txt` has the reason.
`worker` does the work.
"""

import hashlib
import json
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import yaml

from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.options import Options
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.mmpt_av.cache import DEFAULT_DTYPE
from mmpt.upstream.mmpt_av.checkpoint import file_hash
from mmpt.upstream.mmpt_av.expert import read_options
from mmpt.upstream.s3prl_runner import arguments, defaults, overrides
from mmpt.upstream.s3prl_runner.data import read_yaml
from mmpt.upstream.s3prl_runner.launcher import surroundings
from mmpt.upstream.s3prl_runner.printed import read_step
from mmpt.upstream.s3prl_runner.tasks import superb_task

TAIL_BYTES = 1 << 14
SAMPLE_CONFIGS = ("quick", "evening")  # folders of downstream_configs/ for small and full builds of the samples


class JobFolder:
    """Where S3PRL's files lie in a job's folder."""

    folder: Path

    @property
    def experiment(self) -> Path:
        return self.folder / "experiment"

    @property
    def dev_diarization(self) -> Path:
        """SD's predictions of dev, laid out as S3PRL writes those of test: frame_shift, scoring/predictions/."""
        return self.folder / "dev"

    @property
    def hop_file(self) -> Path:
        """The file that asks the encoder for another hop than its own."""
        return self.folder / "mmpt_av.yaml"


@dataclass(frozen=True)
class Job(JobFolder):
    """See the module. `lr`: as typed; None is the configuration's own."""

    task: str
    encoder: ScoredEncoder
    lr: str | None
    seed: int
    folder: Path
    options: Options = field(default_factory=Options)

    @property
    def name(self) -> str:
        layer = "" if self.options.layer is None else f" layer {self.options.layer}"
        return f"{self.task} {self.encoder.name}{layer}" + (f" lr {self.lr}" if self.lr else "") + f" seed {self.seed}"

    def values(self) -> dict:
        """Return the options of run_downstream.py for a new training, by the names that its parser gives them."""
        o, e = self.options, self.encoder
        changes = [f"config.{key}={value}" for key, value in self.changes().items()]
        values = {
            "upstream": e.upstream,
            "downstream": superb_task(self.task).downstream,
            "expdir": str(self.experiment),
            "seed": self.seed,
            "device": o.device,
            "upstream_ckpt": e.spelled.checkpoint,
            "config": dict(o.configs).get(self.task),
            "data_root": o.data_root,
            "lexicon": list(o.lexicon) if self.task == "pr" else [],
            "upstream_trainable": o.fine_tune,
            "upstream_model_config": str(self.hop_file) if self.has_own_hop() else e.config,
            "override": ",,".join(changes),
            "upstream_layer_selection": o.layer,
        }
        may_be_0 = ("seed", "upstream_layer_selection")
        given = {k: v for k, v in values.items() if v or (k in may_be_0 and v is not None)}
        return given | self.cache_values()

    def cache_values(self) -> dict:
        """Return the options of the cache, which no checkpoint of S3PRL's keeps."""
        o = self.options
        if o.cache is None:
            return {}
        values = {"cache": o.cache, "cache_dtype": o.cache_dtype, "cache_limit": o.cache_limit}
        return {name: value for name, value in values.items() if value is not None}

    def changes(self) -> dict[str, str]:
        """Return the settings in place of the YAML's, dotted."""
        o, changes = self.options, dict(self.options.settings)
        if self.lr is not None:
            changes["optimizer.lr"] = self.lr
        if o.limit is not None:
            changes |= {f"runner.{key}": str(o.limit) for key in ("total_steps", "eval_step", "save_step", "log_step")}
        if o.workers is not None:
            changes[superb_task(self.task).workers_key] = str(o.workers)
        return changes

    def command(self) -> str:
        """Return the training as a person would type it."""
        return shlex.join(["python", "run_downstream.py", *arguments.to_argv(self.values())])

    @cached_property
    def plan(self) -> defaults.Plan:
        """The stock runner's command line, filled in as run_downstream.py does it."""
        values = self.values()
        if self.has_own_hop():
            del values["upstream_model_config"]  # `prepare` writes that file later
        return defaults.fill(values, surroundings(self.options.samples))

    @cached_property
    def config(self) -> dict:
        """The settings that S3PRL will see: the YAML file under the overrides."""
        config = read_yaml(Path(self.plan.values["config"]))
        overrides.apply(config, self.plan.values["override"])
        return config

    @property
    def steps(self) -> int:
        return self.config["runner"]["total_steps"]

    @property
    def on_samples(self) -> bool:
        """True if the job reads the built samples, with their shorter settings."""
        return Path(self.plan.values["config"]).parent.name in SAMPLE_CONFIGS

    @property
    def is_smoke(self) -> bool:
        """True if the figures compare with nothing published, whatever the encoder."""
        return self.options.limit is not None or self.on_samples

    @property
    def changed(self) -> list[str]:
        """The options that replace the task's own settings. The constrained track leaves the learning rate free."""
        configs = [f"--config {task}={file}" for task, file in self.options.configs if task == self.task]
        return [f"--set {key}={value}" for key, value in self.options.settings if key != "optimizer.lr"] + configs

    def has_own_hop(self) -> bool:
        return self.options.frame_hop is not None and self.encoder.is_ours

    def fingerprint(self) -> str:
        """Return a hash of all that the result depends on: settings, encoder, seed, data and S3PRL."""
        config = _without(self.config, "num_workers", "max_keep")
        o = self.options
        lexicons = [file_hash(file) for file in o.lexicon] if self.task == "pr" else []
        rest = [
            self.encoder.identity,
            self.seed,
            o.frame_hop if self.has_own_hop() else None,
            o.fine_tune,
            lexicons,
            _data_versions(config),
            version("s3prl"),
            *([f"layer {o.layer}"] if o.layer is not None else []),
        ]
        return hashlib.sha256(json.dumps([config, rest], sort_keys=True).encode()).hexdigest()

    def cached_in(self) -> str | None:
        """Return the dtype of cached states, which rounds them; None without a cache."""
        return None if self.options.cache is None else self.options.cache_dtype or DEFAULT_DTYPE

    def prepare(self, replace: bool = False) -> None:
        """Make the folder, or check the one that is there. `replace`: delete what was made with other settings.

        Raises:
            InputError: the folder is of a job with other settings, encoder or data.
        """
        about, fingerprint = self.folder / "job.json", self.fingerprint()
        if about.is_file() and not self.is_current():
            if not replace:
                raise InputError(
                    f"{self.folder}: holds a job of other settings (with --cache or without), another encoder or "
                    "other data; "
                    "give another --out, or --fresh to delete it"
                )
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.has_own_hop():
            options = {**read_options(self.encoder.config), "frame_hop": self.options.frame_hop}
            write_text(self.hop_file, yaml.safe_dump(options))
        if not about.is_file():
            about_job = {"name": self.name, "fingerprint": fingerprint, "cached": self.cached_in()}
            about_job["command"] = self.command()
            write_text(about, json.dumps(about_job, indent=2) + "\n")

    def is_current(self) -> bool:
        """Return True if the folder was made with the present settings, encoder and data.

        Folders of earlier versions do not tell whether their states were cached: with or without, they are current.
        """
        about, cached = read_json(self.folder / "job.json") or {}, self.cached_in()
        return about.get("fingerprint") == self.fingerprint() and about.get("cached", cached) == cached

    def trained(self) -> dict | None:
        """Return what training left in trained.json; None before its end."""
        return read_json(self.folder / "trained.json")

    def result(self) -> dict | None:
        """Return what the evaluation left in result.json; None before its end."""
        return read_json(self.folder / "result.json")

    def is_done(self, evaluate: bool) -> bool:
        """Return True if the job is trained, and with `evaluate` tested too."""
        return (self.result() if evaluate else self.trained()) is not None

    def failure(self) -> str | None:
        """Return why the job failed, with the end of its log; None if it did not."""
        file = self.folder / "failed.txt"
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def step(self) -> int:
        """Return the step that the training has reached."""
        return self.steps if self.trained() else read_step(self.experiment)


def make_jobs(
    tasks: list[str],
    encoders: list[ScoredEncoder],
    rates: list[str | None],
    seeds: list[int],
    out: Path,
    options: Options,
) -> list[Job]:
    """Return a job for each task, encoder, learning rate and seed, below the folder `out`."""
    out = out.expanduser().absolute()
    return [
        Job(task, encoder, rate, seed, out / task / encoder.name / f"lr{rate or '-default'}-seed{seed}", options)
        for task in tasks
        for encoder in encoders
        for rate in rates
        for seed in seeds
    ]


def read_json(file: Path) -> dict | None:
    """Return what the file holds; None if there is no such file."""
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _without(config: dict, *keys: str) -> dict:
    """Leave out settings that no result depends on."""
    return {k: _without(v, *keys) if isinstance(v, dict) else v for k, v in config.items() if k not in keys}


def _data_versions(config: dict) -> list[str]:
    """Return the version of the built samples if the configuration leads to them; other data are known by path."""
    paths = [Path(item) for item in _texts(config) if item.startswith("/")]
    marks = sorted({parent / "built.json" for path in paths for parent in list(path.parents)[:3]})
    found = (json.loads(mark.read_text(encoding="utf-8")) for mark in marks if mark.is_file())
    return [f"{built['version']} {built['sources']}" for built in found]


def _texts(item: object) -> Iterator[str]:
    """Yield every string of a configuration."""
    if isinstance(item, str):
        yield item
    elif isinstance(item, (dict, list)):
        for one in item.values() if isinstance(item, dict) else item:
            yield from _texts(one)
