"""A folder's expert: both ways of importing beside it, and each thing that can be wrong with it."""

import pytest
import torch

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import expert_folders, repairs

from helpers.expert_folders import expert_folder


@pytest.fixture(autouse=True)
def mended(monkeypatch):
    repairs.apply()
    monkeypatch.setattr("sys.path", [*__import__("sys").path])


@pytest.mark.parametrize("imports", ["from .net import Net", "from {} import Net", "from . import net; Net = net.Net"])
def test_modules_beside_it_are_found(tmp_path, imports):
    name = f"flat_{len(imports)}"  # a flat module stays loaded under its own name
    folder = expert_folder(tmp_path / "good", imports.format(name))
    (folder / f"{name}.py").write_text((folder / "net.py").read_text())
    upstream = expert_folders.load(folder)(ckpt=str(folder / "model.pt"), model_config=None, refresh=False)
    states = upstream([torch.ones(640)])["hidden_states"]
    assert [tuple(layer.shape) for layer in states] == [(1, 2, 4)] * 2


def test_two_folders_with_modules_of_one_name(tmp_path):
    one, other = (expert_folder(tmp_path / name) for name in ("one", "other"))
    (other / "net.py").write_text((other / "net.py").read_text().replace("Linear(1, 4)", "Linear(1, 3)"))
    widths = [expert_folders.load(folder)().net.linear.out_features for folder in (one, other, one)]
    assert widths == [4, 3, 4]


def test_it_becomes_an_entry_of_the_hub_that_hides_none(tmp_path):
    import s3prl.hub

    folder, stock = expert_folder(tmp_path / "fbank"), s3prl.hub.fbank
    expert_folders.register(folder)
    assert callable(getattr(s3prl.hub, str(folder))) and s3prl.hub.fbank is stock
    delattr(s3prl.hub, str(folder))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda folder: (folder / "expert.py").unlink(), "holds no expert.py"),
        (lambda folder: (folder / "expert.py").write_text("import absent_library"), "'absent_library', which is not"),
        (lambda folder: (folder / "expert.py").write_text("x = 1"), "has no class UpstreamExpert"),
        (lambda folder: (folder / "net.py").write_text("def ("), "cannot be imported: SyntaxError"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, spoil, message):
    folder = expert_folder(tmp_path / "bad")
    spoil(folder)
    with pytest.raises(InputError, match=message):
        expert_folders.load(folder)
