"""Import a hidden-set folder as S3PRL's hub loader does, in a process without this project; save its states.

Run as `python -I flat_import.py FOLDER WAVS OUT [mend]`: waveforms and states are files of tensors; `mend` repairs
S3PRL first, for an expert that imports it. S3PRL appends the folder
to the path and takes `UpstreamExpert` of the module `expert` (s3prl/downstream/runner.py, `_get_upstream`).
"""

import sys
from pathlib import Path


class Absent:
    """A finder that hides this project: it is not installed where the hidden set is scored."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] == "mmpt":
            raise ModuleNotFoundError(f"{name} is not in the folder", name=name)


def mend_s3prl() -> None:
    """Repair S3PRL, and forget what did it."""
    from mmpt.upstream.s3prl_runner import repairs

    repairs.apply()
    for name in [name for name in sys.modules if name.split(".")[0] == "mmpt"]:
        del sys.modules[name]


def main(folder: Path, wavs: Path, out: Path, mend: Path | None = None) -> None:
    """Load, compute, and check what the runner takes for granted."""
    if mend:
        mend_s3prl()
    sys.meta_path.insert(0, Absent())
    sys.path.append(str(folder))
    import torch
    from expert import UpstreamExpert  # type: ignore[import-not-found]  # in the folder

    upstream = UpstreamExpert(ckpt=str(folder / "model.pt"), model_config=None, refresh=False).eval()
    batch, rate = torch.load(wavs, weights_only=True), upstream.get_downsample_rates("hidden_states")
    with torch.no_grad():
        states = upstream(batch)["hidden_states"]
    if type(rate) is not int:
        raise SystemExit(f"get_downsample_rates gives a {type(rate).__name__}, not a whole number")
    if len({tuple(layer.shape) for layer in states}) != 1 or not all(layer.isfinite().all() for layer in states):
        raise SystemExit("hidden_states differ in shape, or are not finite")
    torch.save({"states": torch.stack(states), "rate": rate}, out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
