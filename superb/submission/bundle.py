"""Build a bundle, what one submits to SUPERB's leaderboard: predict.zip, the forms, and the hidden set's folder.

A bundle holds

- predict.zip: the public set, with the answers of form.yaml
- hidden/: the hidden set, with the answers of hidden-form.yaml
- dev/sd/: SD's predictions of dev, on which score.py chooses threshold and median
- manifest.json: hashes of all files, their origin, whether the bundle can be submitted, and in which track
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmpt.superb import encoder_figures
from mmpt.superb.cost import Cost
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.scoring.layout import DEV_DIARIZATION
from mmpt.superb.software import software_versions
from mmpt.superb.submission import form, public_set
from mmpt.superb.submission.eligibility import Eligibility, judge
from mmpt.superb.submission.hidden_set import check_hidden_set, push, write_hidden_set
from mmpt.superb.submission.own_expert import write_own_expert
from mmpt.superb.submission.run_results import EncoderResults
from mmpt.superb.text_table import text_table
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import replacing_folder, write_text
from mmpt.upstream.mmpt_av import load_encoder
from mmpt.upstream.mmpt_av.checkpoint import file_hash

FORM_NOTE = "Answers for the form at superbbenchmark.org (public set), with predict.zip."
HIDDEN_NOTE = (
    "Answers for the hidden set's form; the three huggingface fields are known when the folder hidden/ is uploaded."
)


@dataclass(frozen=True)
class FormTexts:
    """Texts for the form from the command line. Each None is filled in from what is known."""

    name: str | None = None
    url: str | None = None
    description: str | None = None


def build_bundle(
    results: EncoderResults, cost: Callable[[], Cost], bundle: Path, texts: FormTexts, allow_partial: bool
) -> dict:
    """Build the bundle, all of it or nothing, in place of an earlier one; return its manifest.

    Args:
        results: the encoder's.
        cost: returns the encoder's; it is called once the predictions are right, since it takes a while.
        bundle: the folder.
        texts: for the form.
        allow_partial: build it although it cannot be submitted.

    Raises:
        InputError: predictions are wrong, or they cannot be submitted and `allow_partial` is false. The list has been
            printed.
    """
    files = public_set.collect(results)
    faults, obstacles = public_set.check(files, results)
    _refuse(results.name, faults, [] if allow_partial else obstacles)
    judged, measured = judge(results.provenance), cost()
    name = results.name if texts.name is None else texts.name
    model = _describe(results.encoder, measured)
    description = form.describe_model(model.kind, judged, texts.description)
    answers = form.public_form(name, texts.url or "", description, model, results, measured)
    obstacles += form.check_form(answers, form.PUBLIC_FORM)
    with replacing_folder(bundle) as folder:
        faults, no_hidden_set = _write_hidden_set(folder / "hidden", results, name, judged, measured)
        _refuse(results.name, faults, [] if allow_partial else obstacles)
        public_set.write_zip(files, folder / "predict.zip")
        write_text(folder / "form.yaml", form.render(answers, FORM_NOTE))
        if no_hidden_set is None:
            write_text(folder / "hidden-form.yaml", form.render(form.hidden_form(answers), HIDDEN_NOTE))
        _copy_dev_diarization(results, folder / DEV_DIARIZATION)
        manifest = make_manifest(results, judged, obstacles, no_hidden_set, folder)
        write_text(folder / "manifest.json", json.dumps(manifest, indent=2) + "\n")
    return manifest


def _describe(encoder: ScoredEncoder, cost: Cost) -> form.ModelTexts:
    if encoder.is_ours and encoder.checkpoint:
        return form.describe_ours(load_encoder(encoder.checkpoint).config)
    return form.describe_other(encoder, cost)


def _write_hidden_set(
    folder: Path, results: EncoderResults, name: str, judged: Eligibility, cost: Cost
) -> tuple[list[str], str | None]:
    """Write the hidden set's folder; return its faults, and why there is none (None if it was written)."""
    encoder = results.encoder
    if encoder.file is None or not encoder.is_ours:
        return [], write_own_expert(folder, encoder, results.hop)
    write_hidden_set(folder, encoder.file, results.hop, name, judged, cost)
    return check_hidden_set(folder, encoder.file, results.hop), None


def make_manifest(
    results: EncoderResults, judged: Eligibility, obstacles: list[str], no_hidden_set: str | None, folder: Path
) -> dict:
    """Return what the bundle is, with the hash of each of its files.

    Args:
        results: the encoder's.
        judged: its eligibility.
        obstacles: why the bundle cannot be submitted.
        no_hidden_set: why it has no hidden set.
        folder: the bundle's.
    """
    encoder = results.encoder
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        "submittable": not obstacles,
        "not_submittable_because": obstacles,
        "no_hidden_set_because": no_hidden_set,
        "challenge_track": {"eligible": judged.eligible, "reason": judged.reason},
        "disclosure": judged.disclosure,
        "encoder": {
            "name": results.name,
            "upstream": encoder.spelled.folder.name if encoder.spelled.folder else encoder.upstream,
            "identity": encoder.identity,
            "sha256": file_hash(encoder.file) if encoder.file else None,
            "frame_hop": results.hop,
            "provenance": results.provenance,
        },
        "head_seed": results.seed,
        "tasks": {
            task: {
                "experiment": str(one.experiment),
                "best_on_dev": one.is_best,
                "lr": one.lr,
                "lr_chosen_on_dev": one.lr_chosen_on_dev,
            }
            for task, one in results.tasks.items()
        },
        "software": software_versions(),
        "files": {
            file.relative_to(folder).as_posix(): {"sha256": file_hash(file), "bytes": file.stat().st_size}
            for file in files
        },
    }


def check_bundle_folder(bundle: Path, fresh: bool) -> None:
    """Check that a bundle may be built there.

    Raises:
        InputError: there is something that is no bundle, or a bundle that `fresh` does not allow to replace.
    """
    if bundle.exists() and not fresh:
        raise InputError(f"{bundle}: is there already; --fresh replaces a bundle")
    if bundle.exists() and not (bundle / "manifest.json").is_file():
        raise InputError(f"{bundle}: is not a bundle (no manifest.json), and is left alone; name another --out")


def known_cost(entry: dict, encoder: ScoredEncoder) -> Cost:
    """Return the cost in an encoder's entry of results.json, or else measure it."""
    known = entry.get("cost")
    return Cost(known["parameters"], known["macs"]) if known else encoder_figures.cost(encoder)


def describe_bundles(manifests: dict[Path, dict]) -> str:
    """Return some lines about each bundle, and a table of several."""
    lines = []
    for bundle, content in manifests.items():
        lines += [f"{bundle}: " + ("ready to submit" if content["submittable"] else "NOT SUBMITTABLE, a trial:")]
        lines += [f"  {reason}" for reason in content["not_submittable_because"]]
        lines += [f"  {content['challenge_track']['reason']}"]
        if content["no_hidden_set_because"]:
            lines += [f"  no hidden set: {content['no_hidden_set_because']}"]
    if len(manifests) > 1:
        rows = [["bundle", "tasks", "submittable", "challenge track", "weights from"]]
        for bundle, content in manifests.items():
            rows.append([bundle.name, ", ".join(content["tasks"]), *verdicts(content), content["disclosure"]])
        lines += ["", text_table(rows)]
    return "\n".join(lines)


def verdicts(manifest: dict) -> list[str]:
    """Return two cells of a table: whether a bundle can be submitted, and whether to the challenge track."""
    eligible = manifest["challenge_track"]["eligible"]
    return ["yes" if manifest["submittable"] else "no", "eligible" if eligible else "not eligible"]


def upload(bundle: Path, repository: str) -> None:
    """Push hidden/ to the Hugging Face Hub, and write the commit into hidden-form.yaml. Raises InputError."""
    if not (bundle / "hidden").is_dir():
        raise InputError(f"--push {repository}: the bundle has no hidden/; its manifest.json says why")
    commit = push(bundle / "hidden", repository)
    answers = form.read(bundle / "form.yaml")
    hidden = form.hidden_form(answers, repository, commit)
    write_text(bundle / "hidden-form.yaml", form.render(hidden, HIDDEN_NOTE))
    print(f"Uploaded: https://huggingface.co/{repository} at {commit}; let the organisers read it")
    for problem in form.check_form(hidden, form.HIDDEN_FORM):
        print(problem)


def _refuse(name: str, faults: list[str], obstacles: list[str]) -> None:
    for line in faults + obstacles:
        print(line)
    if faults:
        raise InputError(
            f"{name}: {len(faults)} faults, see the list above, which the server would pass over in silence; "
            "nothing was written"
        )
    if obstacles:
        raise InputError(f"{name}: cannot be submitted, see the list above; --allow-partial makes a trial bundle")


def _copy_dev_diarization(results: EncoderResults, folder: Path) -> None:
    """Copy SD's predictions of dev and their frame_shift into one folder, if dev was predicted."""
    source = results.tasks["sd"].dev_diarization if "sd" in results.tasks else None
    if source and (source / "frame_shift").is_file():
        folder.mkdir(parents=True)
        for file in [*sorted((source / "scoring" / "predictions").glob("*.h5")), source / "frame_shift"]:
            shutil.copyfile(file, folder / file.name)
