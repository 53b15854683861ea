"""Build what one submits to SUPERB's leaderboard from a run's results: predict.zip, forms, the hidden set's folder."""

import argparse
import sys
from functools import partial
from pathlib import Path

from mmpt.superb.results_folder import input_path, output_folder
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError

EXAMPLES = """\
examples:
  python scripts/superb/submit.py --results runs/superb/first --out bundle --url https://github.com/me/mine
  python scripts/superb/submit.py --results runs/superb/first --out bundle --allow-partial      a trial bundle
  python scripts/superb/submit.py --results runs/superb/ab --encoder a --encoder b --out bundles
  python scripts/superb/submit.py --results runs/superb/first --out bundle --url … --push me/mine

A bundle holds
  predict.zip       the public set, to upload at superbbenchmark.org, with the answers of form.yaml
  hidden/           the hidden set, for a Hugging Face repository (--push uploads it), with those of hidden-form.yaml;
                    of an encoder that is not ours its own folder (--expert), or nothing, and the manifest says why
  dev/sd/           SD's predictions of dev: score.py chooses threshold and median on them
  manifest.json     hashes of all files, their origin, whether the bundle can be submitted and in which track

Whatever the server would drop in silence stops the command: ids that are missing, unknown or repeated, labels that do
not exist, files that are not text, SD's probabilities, frame counts and frame_shift. Test sets or settings other than
the leaderboard's, or a missing task, need --allow-partial; the manifest then marks the bundle as one that cannot be
submitted.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = p.add_argument
    add("--results", type=Path, required=True, metavar="DIR", help="what scripts/superb/run.py wrote (its --out)")
    add(
        "--out",
        type=Path,
        required=True,
        metavar="BUNDLE",
        help="folder to make; of several encoders each gets a folder in it",
    )
    add(
        "--encoder",
        action="append",
        default=[],
        metavar="NAME",
        help="an encoder of the run; may be given again; default: all but S3PRL's own upstreams",
    )
    add("--seed", type=int, metavar="N", help="of the heads; default: the first that was run")
    add("--allow-partial", action="store_true", help="make it although it cannot be submitted (samples, missing tasks)")
    add("--fresh", action="store_true", help="replace a bundle that is there")
    texts = p.add_argument_group("the form")
    texts.add_argument(
        "--name", metavar="TEXT", help="of the submission, at most 20 characters; default: the encoder's"
    )
    texts.add_argument("--url", metavar="URL", help="of the model, at https://github.com/")
    texts.add_argument(
        "--description",
        metavar="TEXT",
        help="of the model; the data it was trained on are added; at most 300 characters in all",
    )
    add("--push", metavar="OWNER/NAME", help="upload hidden/ to this Hugging Face repository; a new one is private")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Build the bundles; return the exit status."""
    arguments = parser().parse_args(argv)
    from mmpt.superb.results import read_results, submittable_encoders
    from mmpt.superb.submission import bundle as bundles
    from mmpt.superb.submission.run_results import read_encoder_results

    results, out = input_path(arguments.results), output_folder(arguments.out)
    content = read_results(results)
    names = list(dict.fromkeys(arguments.encoder)) or submittable_encoders(content)
    if not names:
        raise InputError(f"{results}: holds no encoder but S3PRL's own upstreams, which are on the board already")
    if len(names) > 1 and (arguments.push or arguments.name or arguments.description):
        known = ", ".join(names)
        raise InputError(f"--push, --name and --description are of one encoder: choose one with --encoder ({known})")
    folders = {name: out / name if len(names) > 1 else out for name in names}
    found = {name: read_encoder_results(results, name, arguments.seed) for name in names}
    for folder in folders.values():
        bundles.check_bundle_folder(folder, arguments.fresh)
    entries = {entry["name"]: entry for entry in content["encoders"]}
    texts, manifests = bundles.FormTexts(arguments.name, arguments.url, arguments.description), {}
    for name, folder in folders.items():
        cost = partial(bundles.known_cost, entries[name], found[name].encoder)
        manifests[folder] = bundles.build_bundle(found[name], cost, folder, texts, arguments.allow_partial)
    print(bundles.describe_bundles(manifests))
    truths = " ".join(map(str, found[names[0]].truth_paths()))
    print(f"Score it: python scripts/superb/score.py {folders[names[0]]} --truth {truths}")
    if arguments.push:
        bundles.upload(folders[names[0]], arguments.push)
    return 0


if __name__ == "__main__":
    sys.exit(main())
