"""The leaderboard's two forms, filled from what is known of an encoder, and checked against the server's limits."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from mmpt.scripts.superb.cost import Cost
from mmpt.superb.submission.eligibility import Eligibility, describe
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import EncoderConfig

SAMPLES_PER_MS = 16
CONSTRAINED = "1"  # the track of a frozen encoder under S3PRL's own heads
TEXT = 300


@dataclass(frozen=True)
class Field:
    """A field of a form. longest: in characters. right: what else its text must be like, and `rule` says so in words."""

    name: str
    longest: int = TEXT
    right: Callable[[str], bool] = bool
    rule: str = "must be filled in"


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text) is not None


_COUNT = {"right": _matches(r"\d+"), "rule": "must be a whole number"}
PUBLIC_FORM = (
    Field("submitName", 20),
    Field(
        "modelURL",
        right=_matches(r"https://github\.com/[^/\s]+/[^/\s]+.*"),
        rule="must be an address at https://github.com/",
    ),
    Field("modelDesc"),
    Field(
        "stride",
        right=lambda text: text.isdecimal() and 0 < int(text) <= 100,
        rule="must be a whole number of ms, 1 to 100",
    ),
    Field("inputFormat"),
    Field("corpus"),
    Field("paramDesc"),
    *(Field(name, **_COUNT) for name in ("macs", "macsShort", "macsMedium", "macsLong", "macsLonger", "paramShared")),
    *(Field(name, 100, **_COUNT) for name in ("fineTunedParam", "taskSpecParam")),
    Field("task", right=_matches("[123]"), rule="must be a track: 1, 2 or 3"),
)
HIDDEN_FORM = (
    Field("submitName", 20),
    Field("modelDesc"),
    Field("huggingfaceOrganizationName"),
    Field("huggingfaceRepoName"),
    Field("huggingfaceCommonHash", right=_matches("[0-9a-f]{40}"), rule="must be the commit's 40 hexadecimal digits"),
    Field("paramShared", **_COUNT),
    Field("task", right=_matches("[123]"), rule="must be a track: 1, 2 or 3"),
)


def public_form(
    name: str,
    url: str,
    description: str | None,
    config: EncoderConfig,
    hop: int,
    provenance: dict | None,
    judged: Eligibility,
    cost: Cost,
    head_parameters: int,
) -> dict[str, object]:
    """The public set's form.

    Args:
        description: of the model, before the disclosure of the data, which always follows; None has it written.
        hop: samples under a state. head_parameters: of all tasks' heads together.
    """
    return {
        "submitName": name,
        "modelURL": url,
        "modelDesc": describe_model(config, judged, description),
        "stride": hop // SAMPLES_PER_MS,
        "inputFormat": f"16 kHz waveform; {config.n_mels} log-mel energies, 25 ms window, 10 ms shift, mean and variance normalised "
        + ("per utterance" if config.normalisation == "utterance" else "by fixed statistics"),
        "corpus": corpus(provenance),
        "paramDesc": f"Conformer, {config.n_layers} blocks, d {config.d_model}, FFN {config.ffn_dim}, {config.n_heads} heads; all are shared by the tasks",
        "macs": cost.total,
        **{f"macs{bucket.capitalize()}": macs for bucket, macs in cost.macs.items()},
        "paramShared": cost.parameters,
        "fineTunedParam": 0,
        "taskSpecParam": head_parameters,
        "task": CONSTRAINED,
    }


def hidden_form(public: dict[str, object], repository: str = "", commit: str = "") -> dict[str, object]:
    """The hidden set's form; `repository` (owner/name) and `commit` are known once the folder is uploaded."""
    owner, _, name = repository.partition("/")
    uploaded = {"huggingfaceOrganizationName": owner, "huggingfaceRepoName": name, "huggingfaceCommonHash": commit}
    return {
        "submitName": public["submitName"],
        "modelDesc": public["modelDesc"],
        **uploaded,
        "paramShared": public["paramShared"],
        "task": public["task"],
    }


def describe_model(config: EncoderConfig, judged: Eligibility, description: str | None) -> str:
    """The description, with the disclosure of what the weights come from."""
    what = (
        f"mmpt_av: Conformer speech encoder, {config.n_layers} blocks, frozen."
        if description is None
        else description.strip()
    )
    disclosed = f"{what} Weights: {judged.disclosure}."
    return disclosed if judged.eligible else f"{disclosed} Not SSL only: it {judged.cause}."


def corpus(provenance: dict | None) -> str:
    """The data sets of all stages, with their sizes where known."""
    named = []
    for stage in (provenance or {}).get("stages") or []:
        if stage.get("data"):
            size = next(
                (f", {stage[key]:,} {key}" for key in ("clips", "segments") if isinstance(stage.get(key), int)), ""
            )
            named.append(f"{stage['data']} ({stage.get('stage')}{size})")
        else:
            named.append(describe(stage))
    return "; ".join(named) or "not known"


def check_form(form: dict[str, object], fields: tuple[Field, ...]) -> list[str]:
    """What the server would not take, one line each: fields that are missing, too long, or not of the form wanted."""
    wrong = [f"form: unknown field {name}" for name in form if name not in {field.name for field in fields}]
    for field in fields:
        text = str(form.get(field.name, ""))
        if len(text) > field.longest:
            wrong.append(f"form: {field.name} has {len(text)} characters, and the form takes {field.longest}: {text}")
        elif not field.right(text):
            wrong.append(f"form: {field.name} {field.rule}" + (f": {text}" if text else ""))
    return wrong


def render(form: dict[str, object], note: str) -> str:
    """The YAML text, under a note of one line."""
    return f"# {note}\n" + yaml.safe_dump(form, sort_keys=False, allow_unicode=True, width=1000)


def read(file: Path) -> dict[str, object]:
    """A form that was rendered. Raises InputError."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{file}: cannot be read as YAML: {error}") from None
    return content
