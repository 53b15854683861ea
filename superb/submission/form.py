"""The leaderboard's two forms, filled from what is known of an encoder, and checked against the server's limits."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from mmpt.superb.cost import Cost
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.submission.eligibility import Eligibility, describe_stage
from mmpt.superb.submission.run_results import EncoderResults
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE, EncoderConfig

CONSTRAINED = "1"  # the track of a frozen encoder under S3PRL's own heads
TEXT = 300


@dataclass(frozen=True)
class Field:
    """A field of a form.

    Args:
        name: as the server knows it.
        longest: in characters.
        accepts: returns True for a text that the server takes.
        rule: the same in words.
    """

    name: str
    longest: int = TEXT
    accepts: Callable[[str], bool] = bool
    rule: str = "must be filled in"


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text) is not None


def _count(name: str, longest: int = TEXT) -> Field:
    return Field(name, longest, _matches(r"\d+"), "must be a whole number")


_TRACK = Field("task", accepts=_matches("[123]"), rule="must be a track: 1, 2 or 3")
PUBLIC_FORM = (
    Field("submitName", 20),
    Field(
        "modelURL",
        accepts=_matches(r"https://github\.com/[^/\s]+/[^/\s]+.*"),
        rule="must be an address at https://github.com/",
    ),
    Field("modelDesc"),
    Field(
        "stride",
        accepts=lambda text: text.isdecimal() and 0 < int(text) <= 100,
        rule="must be a whole number of ms, 1 to 100",
    ),
    Field("inputFormat"),
    Field("corpus"),
    Field("paramDesc"),
    *(_count(name) for name in ("macs", "macsShort", "macsMedium", "macsLong", "macsLonger", "paramShared")),
    *(_count(name, 100) for name in ("fineTunedParam", "taskSpecParam")),
    _TRACK,
)
HIDDEN_FORM = (
    Field("submitName", 20),
    Field("modelDesc"),
    Field("huggingfaceOrganizationName"),
    Field("huggingfaceRepoName"),
    Field("huggingfaceCommonHash", accepts=_matches("[0-9a-f]{40}"), rule="must be the commit's 40 hexadecimal digits"),
    _count("paramShared"),
    _TRACK,
)


@dataclass(frozen=True)
class ModelTexts:
    """What a form says of a model besides figures: what it is, what it takes, how large it is."""

    kind: str
    input_format: str
    sizes: str


def describe_ours(config: EncoderConfig) -> ModelTexts:
    """Describe an encoder of ours."""
    normalised = "per utterance" if config.normalisation == "utterance" else "by fixed statistics"
    sizes = f"{config.n_layers} blocks, d {config.d_model}, FFN {config.ffn_dim}, {config.n_heads} heads"
    energies = f"{config.n_mels} log-mel energies, 25 ms window, 10 ms shift, mean and variance normalised {normalised}"
    return ModelTexts(
        f"mmpt_av: Conformer speech encoder, {config.n_layers} blocks, frozen.",
        f"16 kHz waveform; {energies}",
        f"Conformer, {sizes}; all are shared by the tasks",
    )


def describe_other(encoder: ScoredEncoder, cost: Cost) -> ModelTexts:
    """Describe an encoder of which nothing but its name and its size is known."""
    folder = encoder.spelled.folder
    kind = f"{folder.name}: expert of one's own" if folder else f"{encoder.name}: S3PRL's upstream {encoder.upstream}"
    return ModelTexts(
        f"{kind}, frozen.", "16 kHz waveform", f"{cost.parameters:,} parameters; all are shared by the tasks"
    )


def public_form(
    name: str, url: str, description: str, texts: ModelTexts, results: EncoderResults, cost: Cost
) -> dict[str, object]:
    """Return the public set's form, filled in.

    Args:
        name: of the submission.
        url: of the model.
        description: of the model, with the disclosure of its data (`describe_model`).
        texts: what the form says of the model besides figures.
        results: of the run that is submitted.
        cost: as measured.
    """
    return {
        "submitName": name,
        "modelURL": url,
        "modelDesc": description,
        "stride": results.hop * 1000 // SAMPLE_RATE,
        "inputFormat": texts.input_format,
        "corpus": describe_corpus(results.provenance),
        "paramDesc": texts.sizes,
        "macs": cost.total,
        **{f"macs{bucket.capitalize()}": macs for bucket, macs in cost.macs.items()},
        "paramShared": cost.parameters,
        "fineTunedParam": 0,
        "taskSpecParam": sum(task.head_parameters for task in results.tasks.values()),
        "task": CONSTRAINED,
    }


def hidden_form(public: dict[str, object], repository: str = "", commit: str = "") -> dict[str, object]:
    """Return the hidden set's form; `repository` (owner/name) and `commit` are known once the folder is uploaded."""
    owner, _, name = repository.partition("/")
    uploaded = {"huggingfaceOrganizationName": owner, "huggingfaceRepoName": name, "huggingfaceCommonHash": commit}
    return {
        "submitName": public["submitName"],
        "modelDesc": public["modelDesc"],
        **uploaded,
        "paramShared": public["paramShared"],
        "task": public["task"],
    }


def describe_model(kind: str, judged: Eligibility, description: str | None) -> str:
    """Return the description (None: `kind`) and the disclosure of what the weights come from.

    If the form has no room for it, the disclosure leaves out steps, and names the data once.
    """
    what = kind if description is None else description.strip()
    weights, cause = f"Weights: {judged.disclosure}.", "" if judged.eligible else f" Not SSL only: it {judged.cause}."
    if len(f"{what} {weights}{cause}") > TEXT:
        weights, cause = re.sub(r" \(\d+ steps\)", "", weights), re.sub(r" \([^)]*\)\.$", ".", cause)
    return f"{what} {weights}{cause}"


def describe_corpus(provenance: dict | None) -> str:
    """Return the data sets of all stages, with their sizes if known."""
    named = []
    for stage in (provenance or {}).get("stages") or []:
        if stage.get("data"):
            size = next(
                (f", {stage[key]:,} {key}" for key in ("clips", "segments") if isinstance(stage.get(key), int)), ""
            )
            named.append(f"{stage['data']} ({stage.get('stage')}{size})")
        else:
            named.append(describe_stage(stage))
    return "; ".join(named) or "not known"


def check_form(form: dict[str, object], fields: tuple[Field, ...]) -> list[str]:
    """Return what the server would refuse, one line each: fields that are unknown, too long or malformed."""
    wrong = [f"form: unknown field {name}" for name in form if name not in {field.name for field in fields}]
    for field in fields:
        text = str(form.get(field.name, ""))
        if len(text) > field.longest:
            wrong.append(f"form: {field.name} has {len(text)} characters, and the form takes {field.longest}: {text}")
        elif not field.accepts(text):
            wrong.append(f"form: {field.name} {field.rule}" + (f": {text}" if text else ""))
    return wrong


def render(form: dict[str, object], note: str) -> str:
    """Return the form as YAML, under a note of one line."""
    return f"# {note}\n" + yaml.safe_dump(form, sort_keys=False, allow_unicode=True, width=1000)


def read(file: Path) -> dict[str, object]:
    """Read a form that was rendered. Raises InputError."""
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{file}: cannot be read as YAML: {error}") from None
