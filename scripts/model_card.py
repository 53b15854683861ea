"""Write the model card of an encoder checkpoint in Markdown: its origin, data with licences, scores, use and limits."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mmpt.scripts import model_card_texts as texts
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.repository import REPOSITORY

if TYPE_CHECKING:
    from mmpt.upstream.mmpt_av import Encoder

EXAMPLE = """\
example:
  python scripts/model_card.py samples/encoders/demo.pt --results runs/superb/demo --out samples/encoders/README.md
"""
SCORES = """\
{table}

{notes}

Made by:

```
{command}
```"""
CARD = """\
# {name}: a speech encoder

A Conformer of {parameters:.2f} M parameters: {layers} blocks of width {width}.
It gives a state for every {hop_ms:g} ms of sound at 16 kHz.
The file has {megabytes:.1f} MB, with weights in {precision}, and the SHA-256 `{sha256}`.

## Training

{stages}

## Data and licences

{data}

{rights}

## Scores

S3PRL trained heads on its states, without changing the encoder, which is called `{own}` here.
In brackets: 95 % interval.
±: standard deviation over the seeds of the heads.

{scores}

## Use

```
mmpt extract recordings/ --ckpt {path} --out features
python run_downstream.py -u mmpt_av -k {path} -d ks
python midtrain/run.py --target-lang it --init {path}
```

These extract its states, train and test a head for keyword spotting, and train the encoder further.

## Limits

{limits}
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("encoder", type=Path, metavar="FILE", help="the encoder checkpoint")
    p.add_argument(
        "--results",
        type=Path,
        action="append",
        required=True,
        metavar="DIR",
        help="a run of `mmpt superb run` or `mmpt study` that scored it, or its results.json; may be given again",
    )
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="the card to write, such as README.md")
    p.add_argument("--beside", metavar="LIST", help="which other encoders of the run to show, by name (default: all)")
    p.add_argument("--fresh", action="store_true", help="replace the card if it exists")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Write the card; return the exit status."""
    arguments = parser().parse_args(argv)
    if arguments.out.exists() and not arguments.fresh:
        raise InputError(f"{arguments.out}: is there already; --fresh replaces it")

    from mmpt.superb.results import read_results
    from mmpt.upstream.files import write_text
    from mmpt.upstream.mmpt_av import load_encoder
    from mmpt.upstream.mmpt_av.checkpoint import file_hash

    encoder, contents = load_encoder(arguments.encoder), list(map(read_results, arguments.results))
    if arguments.beside is not None:
        beside = [name.strip() for name in arguments.beside.split(",") if name.strip()]
        contents = shown(contents, file_hash(arguments.encoder), beside)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(arguments.out, card(arguments.encoder, encoder, contents, arguments.out.parent))
    print(f"Model card: {arguments.out}")
    return 0


def shown(contents: list[dict], sha256: str, beside: list[str]) -> list[dict]:
    """Return the contents of results.json files without other encoders than that of a hash and those named.

    Raises:
        InputError: there is none of that name.
    """
    all_names = list(dict.fromkeys(entry["name"] for content in contents for entry in content["encoders"]))
    if unknown := sorted(set(beside) - set(all_names)):
        raise InputError(f"--beside: no run has {', '.join(unknown)}; there are {', '.join(all_names)}")
    return [_shown(content, sha256, set(beside)) for content in contents]


def _shown(content: dict, sha256: str, beside: set[str]) -> dict:
    names = {entry["name"] for entry in content["encoders"] if entry["sha256"] == sha256} | beside
    return content | {
        "encoders": [entry for entry in content["encoders"] if entry["name"] in names],
        "summary": [entry for entry in content["summary"] if entry["encoder"] in names],
        "comparisons": [one for one in content.get("comparisons", []) if {one["baseline"], one["encoder"]} <= names],
    }


def card(file: Path, encoder: "Encoder", contents: list[dict], folder: Path) -> str:
    """Return the card.

    Args:
        file: the checkpoint.
        encoder: what is in it.
        contents: of the results.json files that have its scores.
        folder: where the card will lie; links to licences start there.

    Raises:
        InputError: the results have no scores of this file.
    """
    from mmpt.upstream.mmpt_av.checkpoint import file_hash

    sha256, stages = file_hash(file), encoder.provenance.get("stages", [])
    own = [[entry["name"] for entry in content["encoders"] if entry["sha256"] == sha256] for content in contents]
    if not all(own):
        raise InputError(f"--results: has no scores of {file}; `mmpt superb run --ckpt {file}` scores it")
    names = {name for stage in stages for name in data_sets(stage)}
    return CARD.format(
        name=file.name,
        parameters=sum(parameter.numel() for parameter in encoder.parameters()) / 1e6,
        layers=encoder.config.n_layers,
        width=encoder.config.d_model,
        hop_ms=encoder.hop / 16,
        megabytes=file.stat().st_size / 1e6,
        precision=stages[-1].get("rounded_to", "float32") if stages else "float32",
        sha256=sha256,
        stages=stage_table(stages),
        data=data_table(names, folder),
        rights=texts.RIGHTS,
        own=own[0][0],
        scores="\n\n".join(map(scores, contents)),
        path=os.path.relpath(file),
        limits="\n".join([texts.LIMITS_OF_SAMPLES] * bool(names & set(texts.SOURCES)) + [texts.LIMITS]),
    )


def scores(content: dict) -> str:
    """Return the table of a results.json, what to know about it, and the command that made it."""
    from mmpt.superb import printout
    from mmpt.superb.encoders import ScoredEncoder
    from mmpt.superb.statistics.wording import pair_lines
    from mmpt.superb.text_table import NO_BEST

    scored = [ScoredEncoder(entry["name"], entry["upstream"]) for entry in content["encoders"]]
    tasks = list(dict.fromkeys(entry["task"] for entry in content["summary"]))
    starred = [] if all(entry["best_on_dev"] for entry in content["summary"]) else [rf"\*: {NO_BEST}"]
    notes = [*starred, *pair_lines(content.get("comparisons", [])), *content["notes"]]
    table = printout.results_table(content, tasks, scored)
    return SCORES.format(table=table, notes="\n".join(f"- {line}" for line in notes), command=content["command"])


def data_sets(stage: dict) -> list[str]:
    """Return the data sets of a stage of provenance: the sets of clips, or the corpus without its language."""
    data = stage.get("data", "")
    return [data.removesuffix(f" {stage['language']}")] if stage.get("language") else [n for n in data.split("+") if n]


def stage_table(stages: list[dict]) -> str:
    """Return a row for each stage of training."""
    from mmpt.superb.text_table import text_table

    heads = ["stage", "objective", "data", "clips or segments", "steps", "seed", "code"]
    rows = [
        [
            stage.get("stage", "-"),
            stage.get("objective", "-"),
            stage.get("data", "-").replace("+", ", "),
            _count(stage.get("clips", stage.get("segments"))),
            _count(stage.get("steps")),  # fairseq's checkpoints may have lost it
            str(stage.get("seed", "-")),
            stage.get("revision", "unknown")[:12],
        ]
        for stage in stages
    ]
    return text_table([heads, *rows])


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def data_table(names: set[str], folder: Path) -> str:
    """Return a row for each source of recordings, with its licence and links from a folder to the licence's files."""
    from mmpt.superb.text_table import text_table

    rows = [["recordings", "licence", "in full"]]
    for source in dict.fromkeys(source for name in texts.SOURCES if name in names for source in texts.SOURCES[name]):
        links = [f"[{name}]({os.path.relpath(REPOSITORY / 'samples' / name, folder)})" for name in source.files]
        rows.append([source.what, source.licence, ", ".join(links)])
    rows += [[name, "its publisher's", "-"] for name in sorted(names - set(texts.SOURCES))]
    return text_table(rows)


if __name__ == "__main__":
    sys.exit(main())
