"""Find a task's corpora, and fill the `/path/to/...` of its YAML with their paths.

A value `/path/to/NAME/rest` in a task's YAML stands for `rest` in the published folder NAME. The folder is searched
under `--data-root`, then through `data.yaml` in the working directory, then in the built samples.
`/path/to/vocabulary/...` are files of this project.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mmpt.upstream.errors import InputError
from mmpt.upstream.nearest import did_you_mean
from mmpt.upstream.repository import read_build
from mmpt.upstream.s3prl_runner.tasks import OTHER_TASKS, TASKS

PLACEHOLDER = "/path/to/"
VOCABULARY = "vocabulary"
CORPORA = (
    "speech_commands_v0.01",
    "speech_commands_test_set_v0.01",
    "fluent_speech_commands_dataset",
    "LibriSpeech",
    "diarization",
    "VoxCeleb1",
    "IEMOCAP",
    "SNIPS",
    "quesst14Database",
    "Libri2Mix",
    "voicebank",
)
SAMPLES_LEXICON = "lexicon/samples-lexicon.txt"
LEXICONS = "https://huggingface.co/datasets/s3prl/g2p/raw/main/lexicon/"  # s3prl/dataio/encoder/g2p.py:13
# Files that lie in the corpus's own folder, and come from elsewhere.
ORIGINS = {
    "len_for_bucket": "write it with: python scripts/prepare/librispeech_lengths.py --root {folder}",
    "meta_data": "write it with: python scripts/prepare/iemocap_sessions.py --root {folder}",
    "iden_split.txt": "take it from https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/iden_split.txt (S3PRL's "
    "git tree has it as veri_test_class.txt)",
    "voxceleb1_test_v2.txt": "take it from https://www.openslr.org/resources/49/voxceleb1_test_v2.txt",
}


@dataclass(frozen=True)
class DataSource:
    """The source of corpora: one root for all, or single folders by their published names."""

    origin: str
    """How the user named it, for messages."""
    root: Path | None = None
    folders: dict[str, Path] = field(default_factory=dict)

    def folder(self, corpus: str) -> Path:
        """Return the place of a corpus; raise InputError if the source does not name it."""
        if corpus in self.folders:
            return self.folders[corpus]
        if self.root is None:
            raise InputError(
                f"{self.origin} does not tell where {corpus} lies; add a line '{corpus}: DIR' or 'root: DIR'"
            )
        return self.root / corpus

    def sample_configs(self) -> str | None:
        """Return the folder of downstream_configs/ that suits these samples: quick, or evening if they are full.

        Return None if the root holds no built samples, which have a built.json and a lexicon of their own. A second
        corpus inside them has a folder of its own as its root.
        """
        if self.root is None:
            return None
        for folder in (self.root, self.root.parent):
            if build := read_build(folder):
                return "evening" if build.get("size") == "full" else "quick"  # old versions made small builds alone
        return "quick" if (self.folder("LibriSpeech") / SAMPLES_LEXICON).is_file() else None


def configs_folder() -> Path:
    """Return our downstream_configs, in the repository or in the installed package."""
    spec = importlib.util.find_spec("mmpt.downstream_configs")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a YAML file; raise InputError if it is missing or holds no mapping."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not a YAML file ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected 'key: value' lines")
    return content


def placeholders(config: dict[str, Any], prefix: str = "config") -> dict[str, object]:
    """Return dotted key (as in `-o`) → value of every string or list of strings with a `/path/to/` to fill."""
    found: dict[str, object] = {}
    for key, item in config.items():
        dotted = f"{prefix}.{key}"
        if isinstance(item, dict):
            found.update(placeholders(item, dotted))
        elif any(_corpus_of(text) for text in (item if isinstance(item, list) else [item])):
            found[dotted] = item
    return found


def corpora(found: dict[str, object]) -> set[str]:
    """Return the corpora that placeholders stand for; a vocabulary of ours is none."""
    texts = (text for item in found.values() for text in (item if isinstance(item, list) else [item]))
    return {corpus for text in texts if (corpus := _corpus_of(text)) not in (VOCABULARY, None)}


def locate(data_root: str | None, task: str, wanted: set[str], folder: Path, samples: Callable[[], Path]) -> DataSource:
    """Find the `wanted` corpora of `task`: named by the user, by `folder`/data.yaml, or else the built samples."""
    if data_root is not None:
        root = (folder / Path(data_root).expanduser()).absolute()
        if not root.is_dir():
            raise InputError(f"--data-root {data_root}: no such folder")
        return DataSource(f"--data-root {data_root}", root)
    file = folder / "data.yaml"
    if file.exists():
        source = _from_file(file, task)
        if source.root is not None or wanted & source.folders.keys():
            return source
    return DataSource("the built samples", samples().absolute())


def fill(found: dict[str, object], source: DataSource | None) -> dict[str, object]:
    """Return the placeholders' values with real, existing, absolute paths."""
    return {key: _fill_value(item, source) for key, item in found.items()}


def _from_file(file: Path, task: str) -> DataSource:
    """Read the entries of data.yaml that concern the task; there may be none."""
    entries = read_yaml(file)
    tasks = (*TASKS, *OTHER_TASKS)
    known = ["root", *(item.name for item in tasks), *(item.downstream for item in tasks), *CORPORA]
    for key, item in entries.items():
        if key not in known:
            raise InputError(f"{file}: unknown key '{key}'; {did_you_mean(key, known)}")
        if not isinstance(item, str) or not (file.parent / Path(item).expanduser()).is_dir():
            raise InputError(f"{file}: {key}: no such folder: {item}")
    paths = {key: (file.parent / Path(item).expanduser()).absolute() for key, item in entries.items()}
    names = next(((item.name, item.downstream) for item in tasks if item.name == task), (task, task))
    root = next((paths[name] for name in names if name in paths), paths.get("root"))
    folders = {name: path for name, path in paths.items() if name in CORPORA}
    return DataSource("data.yaml", root, folders)


def _fill_value(value: object, source: DataSource | None) -> object:
    if not isinstance(value, list):
        return str(_existing(value, source))
    if source is not None and all("LibriSpeech/lexicon/" in str(text) for text in value):
        samples_lexicon = source.folder("LibriSpeech") / SAMPLES_LEXICON
        if samples_lexicon.is_file():
            return [str(samples_lexicon)]
    return [str(_existing(text, source)) for text in value]


def _existing(text: object, source: DataSource | None) -> Path:
    """Return the real path of one `/path/to/NAME/rest`; raise InputError if it does not exist."""
    text, corpus = str(text), _corpus_of(text)
    if corpus == VOCABULARY:
        return configs_folder() / text[len(PLACEHOLDER) :]
    assert source is not None and corpus is not None  # `locate` was called for this corpus
    path = source.folder(corpus) / text[len(PLACEHOLDER) + len(corpus) :].lstrip("/")
    if path.exists():
        return path
    if path.name in ORIGINS and path.parent.is_dir():
        raise InputError(f"{path}: not found; {ORIGINS[path.name].format(folder=path.parent)}")
    if path.parent.name == "lexicon" and path.parent.parent.is_dir():
        raise InputError(
            f"{path}: not found; download it from {LEXICONS}{path.name} (as S3PRL does), or take it from S3PRL's git "
            "tree, s3prl/downstream/ctc/lexicon/"
        )
    raise InputError(f"{path}: not found; {source.origin} should lead to {text[len(PLACEHOLDER) :]} (see --help)")


def _corpus_of(text: object) -> str | None:
    """Return NAME of `/path/to/NAME/rest`, or None if it is not one of ours to fill."""
    if not isinstance(text, str) or not text.startswith(PLACEHOLDER):
        return None
    name = text[len(PLACEHOLDER) :].split("/")[0]
    return name if name in (*CORPORA, VOCABULARY) else None
