"""Builds what one submits to SUPERB's leaderboard from a run's results: predict.zip, the forms, and the hidden set's folder."""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmpt.scripts.superb.cost import Cost, encoder_cost
from mmpt.superb.results import markdown
from mmpt.superb.scoring.files import DEV_DIARIZATION
from mmpt.superb.submission import form, public_set
from mmpt.superb.submission.eligibility import Eligibility, eligibility
from mmpt.superb.submission.hidden_set import check_hidden_set, push, write_hidden_set
from mmpt.superb.submission.task_results import Outcomes, read_outcomes, read_results, submittable_encoders
from mmpt.superb.worker import software
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.mmpt_av import load_encoder
from mmpt.upstream.mmpt_av.checkpoint import file_hash

EXAMPLES = """\
examples:
  python scripts/superb/submit.py --results superb/first --out bundle --url https://github.com/me/mine
  python scripts/superb/submit.py --results superb/first --out bundle --allow-partial           a rehearsal on the samples
  python scripts/superb/submit.py --results superb/ab --encoder a --encoder b --out bundles     bundles/a and bundles/b
  python scripts/superb/submit.py --results superb/first --out bundle --url … --push me/mine    uploads bundle/hidden, too

A bundle holds
  predict.zip       the public set, to upload at superbbenchmark.org, with the answers of form.yaml
  hidden/           the hidden set, to upload to a Hugging Face repository (--push does it), with the answers of hidden-form.yaml
  dev/sd/           SD's predictions of dev: score.py chooses threshold and median on them
  manifest.json     hashes of all files, where they come from, whether it can be submitted and in which track

Whatever the server would drop in silence stops the command: ids that are missing, unknown or repeated, labels that do not exist, files
that are not text, SD's probabilities, frame counts and frame_shift. A bundle of other test sets or settings than the leaderboard's, or without a
task, is made with --allow-partial alone, and its manifest says that it cannot be submitted.
"""
FORM_NOTE = "Answers for the form at superbbenchmark.org (public set), with predict.zip."
HIDDEN_NOTE = (
    "Answers for the hidden set's form; the three huggingface fields are known when the folder hidden/ is uploaded."
)


@dataclass(frozen=True)
class Wish:
    """What the command line says of the form. Each None is filled in from what is known."""

    name: str | None = None
    url: str | None = None
    description: str | None = None


def build(outcomes: Outcomes, cost: Callable[[], Cost], bundle: Path, wish: Wish, allow_partial: bool) -> dict:
    """Makes the bundle, all of it or nothing, in place of an earlier one, and returns its manifest.

    Args:
        cost: of the encoder, asked for when the predictions are right: it takes a while.

    Raises:
        InputError: predictions are not right, or they cannot be submitted and `allow_partial` is false. The list has been printed.
    """
    files = public_set.collect(outcomes)
    wrong, why_not = public_set.check(files, outcomes)
    _refuse(outcomes.name, wrong, [] if allow_partial else why_not)
    encoder, judged, measured = load_encoder(outcomes.encoder), eligibility(outcomes.provenance), cost()
    name = outcomes.name if wish.name is None else wish.name
    heads = sum(outcome.head_parameters for outcome in outcomes.tasks.values())
    answers = form.public_form(
        name,
        wish.url or "",
        wish.description,
        encoder.config,
        outcomes.hop,
        outcomes.provenance,
        judged,
        measured,
        heads,
    )
    why_not += form.check_form(answers, form.PUBLIC_FORM)
    half = bundle.with_name(f".{bundle.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    try:
        half.mkdir(parents=True)
        write_hidden_set(half / "hidden", outcomes.encoder, outcomes.hop, name, judged, measured)
        _refuse(
            outcomes.name,
            check_hidden_set(half / "hidden", outcomes.encoder, outcomes.hop),
            [] if allow_partial else why_not,
        )
        public_set.write_zip(files, half / "predict.zip")
        (half / "form.yaml").write_text(form.render(answers, FORM_NOTE), encoding="utf-8")
        (half / "hidden-form.yaml").write_text(form.render(form.hidden_form(answers), HIDDEN_NOTE), encoding="utf-8")
        _copy_dev_diarization(outcomes, half / DEV_DIARIZATION)
        content = manifest(outcomes, judged, why_not, half)
        write_text(half / "manifest.json", json.dumps(content, indent=2) + "\n")
        shutil.rmtree(bundle, ignore_errors=True)  # an earlier one, which check_place let pass
        half.replace(bundle)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return content


def manifest(outcomes: Outcomes, judged: Eligibility, why_not: list[str], folder: Path) -> dict:
    """What the bundle is, and the hash of each of its files."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        "submittable": not why_not,
        "not_submittable_because": why_not,
        "challenge_track": {"eligible": judged.eligible, "reason": judged.reason},
        "disclosure": judged.disclosure,
        "encoder": {
            "name": outcomes.name,
            "sha256": file_hash(outcomes.encoder),
            "frame_hop": outcomes.hop,
            "provenance": outcomes.provenance,
        },
        "head_seed": outcomes.seed,
        "tasks": {
            task: {"experiment": str(outcome.experiment), "best_on_dev": outcome.is_best}
            for task, outcome in outcomes.tasks.items()
        },
        "software": software(),
        "files": {
            file.relative_to(folder).as_posix(): {"sha256": file_hash(file), "bytes": file.stat().st_size}
            for file in files
        },
    }


def check_place(bundle: Path, fresh: bool) -> None:
    """Whether the bundle may be made there.

    Raises:
        InputError: something is there, and it is no bundle, or `fresh` does not say to replace it.
    """
    if bundle.exists() and not fresh:
        raise InputError(f"{bundle}: is there already; --fresh replaces a bundle")
    if bundle.exists() and not (bundle / "manifest.json").is_file():
        raise InputError(f"{bundle}: is not a bundle (no manifest.json), and is left alone; name another --out")


def known_cost(entry: dict, checkpoint: Path) -> Cost:
    """What results.json's entry of an encoder says, or else is measured now."""
    known = entry.get("cost")
    return Cost(known["parameters"], known["macs"]) if known else encoder_cost(checkpoint)


def show(manifests: dict[Path, dict]) -> str:
    """One bundle in some lines, or several side by side."""
    lines = []
    for bundle, content in manifests.items():
        lines += [f"{bundle}: " + ("ready to submit" if content["submittable"] else "NOT SUBMITTABLE, a rehearsal:")]
        lines += [f"  {reason}" for reason in content["not_submittable_because"]] + [
            f"  {content['challenge_track']['reason']}"
        ]
    if len(manifests) > 1:
        rows = [["bundle", "tasks", "submittable", "challenge track", "weights from"]]
        for bundle, content in manifests.items():
            verdict = [
                "yes" if content["submittable"] else "no",
                "eligible" if content["challenge_track"]["eligible"] else "not eligible",
            ]
            rows.append([bundle.name, ", ".join(content["tasks"]), *verdict, content["disclosure"]])
        lines += ["", markdown(rows)]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--results", type=Path, required=True, metavar="DIR", help="what scripts/superb/run.py wrote (its --out)"
    )
    p.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="BUNDLE",
        help="folder to make; of several encoders each gets a folder there",
    )
    p.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar="NAME",
        help="of the run; may be given again; default: all that are ours",
    )
    p.add_argument("--seed", type=int, metavar="N", help="of the heads; default: the first that was run")
    p.add_argument(
        "--allow-partial", action="store_true", help="make it although it cannot be submitted (samples, missing tasks)"
    )
    p.add_argument("--fresh", action="store_true", help="replace a bundle that is there")
    asked = p.add_argument_group("the form")
    asked.add_argument(
        "--name", metavar="TEXT", help="of the submission, at most 20 characters; default: the encoder's"
    )
    asked.add_argument("--url", metavar="URL", help="of the model, at https://github.com/")
    asked.add_argument(
        "--description",
        metavar="TEXT",
        help="of the model; the data it was trained on are added, and all of it has at most 300 characters",
    )
    p.add_argument(
        "--push", metavar="OWNER/NAME", help="upload hidden/ to this Hugging Face repository, private where it is new"
    )
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Builds the bundles; returns the exit status."""
    arguments = parser().parse_args(argv)
    content = read_results(arguments.results)
    names = list(dict.fromkeys(arguments.encoder)) or submittable_encoders(content)
    if not names:
        raise InputError(
            f"{arguments.results}: holds no encoder of ours; S3PRL's own upstreams are on the board already"
        )
    if len(names) > 1 and (arguments.push or arguments.name or arguments.description):
        raise InputError(
            f"--push, --name and --description are of one encoder: choose one with --encoder ({', '.join(names)})"
        )
    bundles = {name: arguments.out / name if len(names) > 1 else arguments.out for name in names}
    outcomes = {name: read_outcomes(arguments.results, name, arguments.seed) for name in names}
    for bundle in bundles.values():
        check_place(bundle, arguments.fresh)
    entries = {entry["name"]: entry for entry in content["encoders"]}
    wish, manifests = Wish(arguments.name, arguments.url, arguments.description), {}
    for name, bundle in bundles.items():
        cost = partial(known_cost, entries[name], outcomes[name].encoder)
        manifests[bundle] = build(outcomes[name], cost, bundle, wish, arguments.allow_partial)
    print(show(manifests))
    truths = " ".join(map(str, outcomes[names[0]].truth_paths()))
    print(f"Score it: python scripts/superb/score.py {bundles[names[0]]} --truth {truths}")
    if arguments.push:
        upload(bundles[names[0]], arguments.push)
    return 0


def upload(bundle: Path, repository: str) -> None:
    """Pushes hidden/, and notes the commit in hidden-form.yaml."""
    commit = push(bundle / "hidden", repository)
    answers = form.read(bundle / "form.yaml")
    hidden = form.hidden_form(answers, repository, commit)
    write_text(bundle / "hidden-form.yaml", form.render(hidden, HIDDEN_NOTE))
    print(f"Uploaded: https://huggingface.co/{repository} at {commit}; let the organisers read it")
    for problem in form.check_form(hidden, form.HIDDEN_FORM):
        print(problem)


def _refuse(name: str, wrong: list[str], why_not: list[str]) -> None:
    for line in wrong + why_not:
        print(line)
    if wrong:
        raise InputError(
            f"{name}: {len(wrong)} faults, see the list above, which the server would pass over in silence; nothing was written"
        )
    if why_not:
        raise InputError(
            f"{name}: cannot be submitted, see the list above; --allow-partial makes a bundle for a rehearsal"
        )


def _copy_dev_diarization(outcomes: Outcomes, folder: Path) -> None:
    """SD's predictions of dev, flat, with their frame_shift; nothing where dev was not predicted."""
    source = outcomes.tasks["sd"].dev_diarization if "sd" in outcomes.tasks else None
    if source and (source / "frame_shift").is_file():
        folder.mkdir(parents=True)
        for file in [*sorted((source / "scoring" / "predictions").glob("*.h5")), source / "frame_shift"]:
            shutil.copyfile(file, folder / file.name)


if __name__ == "__main__":
    sys.exit(main())
