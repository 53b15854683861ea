"""What each SUPERB task's corpus must be like for S3PRL 0.4.18, looked at without S3PRL.

Each check takes the task's configuration with its real paths and returns findings. An error is what would stop the
training, make it loop, or make its figure wrong without a word; a warning is what keeps the figure from being comparable; a
note is worth knowing.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile
from tqdm import tqdm

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner.phone_corpus.dataset import read_lexicons, read_transcript

ERROR, WARNING, NOTE = "error", "warning", "note"
RATE = 16000
HEADER_THREADS = 16
SHOWN = 3  # of many like things
INCOMPARABLE = "figures are not comparable with the board"
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
BOARD_LEXICONS = ["librispeech-lexicon-200k-g2p.txt", "librispeech-lexicon-allothers-g2p.txt"]  # S3PRL's
KS_CLASSES = {*COMMANDS, "_unknown_", "_silence_"}
PUBLISHED = {  # items of the corpora that the leaderboard uses
    "ks train": 64727,
    "ks test": 3081,
    "ic train": 23132,
    "ic valid": 3118,
    "ic test": 3793,
    "train-clean-100": 28539,
    "train-clean-360": 104014,
    "train-other-500": 148688,
    "dev-clean": 2703,
    "dev-other": 2864,
    "test-clean": 2620,
    "test-other": 2939,
    "sd train": 13900,
    "sd dev": 3000,
    "sd test": 3000,
}


@dataclass(frozen=True)
class Finding:
    """One line of the list: ERROR, WARNING or NOTE, the task, and what, where, what to do."""

    level: str
    task: str
    text: str


@dataclass(frozen=True)
class Header:
    """What a recording says of itself; `samples` None where it cannot be read."""

    samples: int | None
    rate: int = RATE
    channels: int = 1


def check_ks(config: dict, hop: int | None) -> list[Finding]:
    """Speech Commands. S3PRL resamples and mixes down here, splits by a hash of the speaker, and drops part batches."""
    data, found = config["downstream_expert"]["datarc"], []
    train_root, test_root = Path(data["speech_commands_root"]), Path(data["speech_commands_test_root"])
    train = [
        file
        for folder in _folders(train_root)
        if folder.name != "_background_noise_"
        for file in sorted(folder.glob("*.wav"))
    ]
    noises = sorted((train_root / "_background_noise_").glob("*.wav"))
    test = [file for folder in _folders(test_root) for file in sorted(folder.glob("*.wav"))]
    for missing in sorted(set(COMMANDS) - {file.parent.name for file in train}):
        found.append(Finding(ERROR, "ks", f"{train_root}: no recordings of the command '{missing}'"))
    for name in sorted({folder.name for folder in _folders(test_root)} - KS_CLASSES):
        found.append(Finding(ERROR, "ks", f"{test_root / name}: is none of the twelve classes, and S3PRL stops at it"))
    for name in sorted(KS_CLASSES - {file.parent.name for file in test}):
        found.append(Finding(WARNING, "ks", f"{test_root}: no test recordings of the class {name}"))
    if not noises:
        found.append(
            Finding(
                ERROR, "ks", f"{train_root / '_background_noise_'}: no noises, from which the class _silence_ is cut"
            )
        )
    headers = read_headers([*train, *noises, *test], "headers of ks")
    found += _unreadable("ks", headers)
    short = [file for file in noises if (header := headers[file]).samples is not None and header.samples < header.rate]
    found += _several(ERROR, "ks", short, "noises under 1 s, from which S3PRL cannot cut a second")
    found += _several(
        WARNING,
        "ks",
        [f for f, h in headers.items() if h.samples is not None and (h.rate != RATE or h.channels != 1)],
        "recordings that are not 16 kHz and mono (S3PRL converts them here)",
    )
    share = Counter(ks_split(file.name) for file in train)
    n_train, batch = share["train"] + len(noises), data["batch_size"]
    if n_train < batch:
        found.append(
            Finding(
                ERROR, "ks", f"{n_train} training items are fewer than a batch of {batch}: S3PRL would wait for ever"
            )
        )
    if share["dev"] == 0:
        found.append(
            Finding(
                ERROR,
                "ks",
                f"{train_root}: no speaker falls into dev (by S3PRL's hash of what stands before _nohash_): no best checkpoint",
            )
        )
    return found + _counts("ks", {"ks train": len(train) + len(noises), "ks test": len(test)})


def check_ic(config: dict, hop: int | None) -> list[Finding]:
    """Fluent Speech Commands. Labels are those of the training table, and nothing is converted."""
    root, found = Path(config["downstream_expert"]["datarc"]["file_path"]), []
    slots, known, counts, files = ("action", "object", "location"), {}, {}, []
    for split in ("train", "valid", "test"):
        table = root / "data" / f"{split}_data.csv"
        try:
            rows = list(csv.DictReader(table.open(encoding="utf-8", newline="")))
        except OSError as error:
            found.append(Finding(ERROR, "ic", f"{table}: {error.strerror}"))
            continue
        missing = [name for name in ("path", *slots) if not rows or name not in rows[0]]
        if missing:
            found.append(
                Finding(
                    ERROR, "ic", f"{table}: " + (f"no column {', '.join(missing)}" if rows else "holds no utterance")
                )
            )
            continue
        counts[f"ic {split}"] = len(rows)
        files += [root / row["path"] for row in rows]
        for slot in slots:
            values = {row[slot] for row in rows}
            unseen = sorted(values - known.setdefault(slot, values))
            found += _several(
                ERROR,
                "ic",
                unseen,
                f"values of '{slot}' in {table.name} that training does not have (S3PRL stops at them)",
            )
    headers = read_headers(files, "headers of ic")
    return found + _unreadable("ic", headers) + _as_they_are("ic", headers) + _counts("ic", counts)


def check_pr(config: dict, hop: int | None) -> list[Finding]:
    """LibriSpeech with lexicons."""
    corpus, text = config["downstream_expert"]["corpus"], config["downstream_expert"]["text"]
    found, lexicons = [], corpus["lexicon"]
    pronunciations = {word: phones for word, (phones, _) in read_lexicons(lexicons).items()}
    vocabulary = set(Path(text["vocab_file"]).read_text(encoding="utf-8").split())
    strange = sorted({phone for phones in pronunciations.values() for phone in phones} - vocabulary)
    found += _several(ERROR, "pr", strange, f"phones of {', '.join(lexicons)} outside the vocabulary")
    names = [Path(file).name for file in lexicons]
    if names != BOARD_LEXICONS:
        found.append(Finding(WARNING, "pr", f"the lexicon is {', '.join(names)} and not S3PRL's two: {INCOMPARABLE}"))
    for split in _splits(corpus, "train", "dev", "test"):
        utterances, trouble = librispeech_texts("pr", Path(corpus["path"]) / split)
        found += trouble
        missing = sorted({word for _, words in utterances for word in words} - pronunciations.keys())
        if corpus.get("unknown_words"):
            found += _several(
                NOTE, "pr", missing, f"words of {split} in no lexicon, which count as {corpus['unknown_words']}"
            )
        else:
            found += _several(
                ERROR,
                "pr",
                missing,
                f"words of {split} in no lexicon (add lines 'WORD PH PH' to a file, or use --lexicon)",
            )
        headers = read_headers([file for file, _ in utterances], f"headers of {split}")
        found += _unreadable("pr", headers) + _as_they_are("pr", headers) + _counts("pr", {split: len(utterances)})
        labels = {
            file: [phone for word in words for phone in pronunciations.get(word, ["SPN"])] for file, words in utterances
        }
        found += _too_fast("pr", split, labels, headers, hop, extra=1)  # S3PRL appends an end symbol
    return found


def check_asr(config: dict, hop: int | None) -> list[Finding]:
    """LibriSpeech with tables of lengths."""
    data, found = config["downstream_expert"]["datarc"], []
    root, tables = Path(data["libri_root"]), Path(data["bucket_file"])
    batch, n_train = data["batch_size"], 0
    letters = {
        line.split()[0] for line in Path(data["dict_path"]).read_text(encoding="utf-8").splitlines() if line.strip()
    }
    for split in _splits(data, "train", "dev-clean", "test-clean"):
        utterances, trouble = librispeech_texts("asr", root / split)
        found += trouble
        strange = Counter(
            letter for _, words in utterances for word in words for letter in word.upper() if letter not in letters
        )
        found += _several(
            ERROR,
            "asr",
            [f"'{letter}' ({n} times)" for letter, n in sorted(strange.items())],
            f"characters of {split} outside the dictionary, which S3PRL would take for labels that do not exist",
        )
        table = tables / f"{split}.csv"
        try:
            listed = {root / row["file_path"] for row in csv.DictReader(table.open(encoding="utf-8", newline=""))}
        except (OSError, KeyError) as error:
            found.append(
                Finding(
                    ERROR,
                    "asr",
                    f"{table}: {getattr(error, 'strerror', None) or 'has no column file_path'}; "
                    f"write it with python scripts/prepare/librispeech_lengths.py --root {root}",
                )
            )
            continue
        there = {file for file, _ in utterances}
        found += _several(
            ERROR,
            "asr",
            sorted(listed - there),
            f"files in {table} that are not there or have no text (write the table again)",
        )
        found += _several(
            ERROR,
            "asr",
            sorted(there - listed),
            f"recordings of {split} that {table} does not list (write the table again)",
        )
        headers = read_headers([file for file, _ in utterances], f"headers of {split}")
        found += _unreadable("asr", headers) + _as_they_are("asr", headers) + _counts("asr", {split: len(utterances)})
        labels = {file: [*"|".join(words).upper(), "|"] for file, words in utterances}
        found += _too_fast("asr", split, labels, headers, hop, extra=0)
        n_train += len(utterances) if split in data["train"] else 0
    if n_train == 1:
        found.append(
            Finding(
                ERROR,
                "asr",
                f"{root}: one training utterance: S3PRL leaves out a batch of one, and would wait for ever",
            )
        )
    elif n_train % batch == 1:
        found.append(
            Finding(
                NOTE,
                "asr",
                f"{n_train} training utterances leave one over in batches of {batch}, the shortest, which S3PRL drops",
            )
        )
    return found


def check_sd(config: dict, hop: int | None) -> list[Finding]:
    """Kaldi folders of two-speaker recordings."""
    expert, found = config["downstream_expert"], []
    for split in ("train", "dev", "test"):
        folder = Path(expert["loaderrc"][f"{split}_dir"])
        missing = [
            name for name in ("wav.scp", "segments", "utt2spk", "spk2utt", "reco2dur") if not (folder / name).is_file()
        ]
        if missing:
            found.append(Finding(ERROR, "sd", f"{folder}: there is no {', '.join(missing)}"))
            continue
        if not (folder / "rttm").is_file():
            found.append(Finding(NOTE, "sd", f"{folder}: no rttm; S3PRL does without, scoring by dscore does not"))
        try:
            speaker = dict(_table(folder / "utt2spk", 2))
            wavs, seconds = (
                dict(_table(folder / "wav.scp", 2)),
                {name: float(text) for name, text in _table(folder / "reco2dur", 2)},
            )
            segments = [
                (utterance, recording, float(start), float(end))
                for utterance, recording, start, end in _table(folder / "segments", 4)
            ]
        except (InputError, ValueError) as error:
            found.append(Finding(ERROR, "sd", f"{folder}: {error}"))
            continue
        speakers: dict[str, set] = {recording: set() for recording in wavs}
        for utterance, recording, _, _ in segments:
            speakers.setdefault(recording, set()).add(speaker.get(utterance, f"(nobody in utt2spk: {utterance})"))
        limit = expert["datarc"]["num_speakers"]
        crowded, silent = (
            [name for name, who in sorted(speakers.items()) if case(len(who))]
            for case in (lambda n: n > limit, lambda n: n == 0)
        )
        found += _several(ERROR, "sd", crowded, f"recordings of {split} with more than {limit} speakers")
        found += _several(ERROR, "sd", silent, f"recordings of {split} without a segment")
        found += _several(
            ERROR,
            "sd",
            sorted({utterance for utterance, *_ in segments} - speaker.keys()),
            f"segments of {split} that are not in utt2spk",
        )
        found += _several(
            ERROR,
            "sd",
            sorted(wavs.keys() ^ seconds.keys()),
            f"recordings of {split} in wav.scp or reco2dur, but not in both",
        )
        found += _several(
            ERROR, "sd", sorted(speakers.keys() - wavs.keys()), f"recordings of {split} in segments, but not in wav.scp"
        )
        files = {
            name: Path(text) for name, text in wavs.items() if not text.endswith("|") and text != "-"
        }  # others are commands
        headers = read_headers(list(files.values()), f"headers of sd {split}")
        found += _unreadable("sd", headers) + _as_they_are("sd", headers) + _counts("sd", {f"sd {split}": len(wavs)})
        wrong = [
            name
            for name, file in files.items()
            if (n := headers[file].samples) is not None and abs(n / RATE - seconds.get(name, 0)) > 0.1
        ]
        found += _several(WARNING, "sd", wrong, f"recordings of {split} whose length is not that of reco2dur")
        late = [
            utterance
            for utterance, recording, start, end in segments
            if not 0 <= start < end or end > seconds.get(recording, end) + 0.1
        ]
        found += _several(
            WARNING, "sd", late, f"segments of {split} that end before they begin, or after their recording"
        )
    return found


def ks_split(name: str) -> str:
    """Which split S3PRL puts a training recording of Speech Commands into: train, dev, or none
    (s3prl/downstream/speech_commands/expert.py:152; the rule is the corpus's own README's).
    """
    speaker = re.sub(r"_nohash_.*$", "", name)
    number = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27
    percent = number * 100 / (2**27 - 1)
    return "dev" if percent < 10 else "none" if percent < 20 else "train"


def librispeech_texts(task: str, split: Path) -> tuple[list[tuple[Path, list[str]]], list[Finding]]:
    """(recording, words) of each recording of a split that has a text, and what is wrong with the rest."""
    found, utterances, without = [], [], []
    recordings = sorted(split.rglob("*.flac"))
    if not recordings:
        return [], [Finding(ERROR, task, f"{split}: " + ("no .flac file" if split.is_dir() else "no such folder"))]
    texts: dict[Path, dict[str, list[str]]] = {}
    for file in recordings:
        chapter = file.parent
        if chapter not in texts:
            try:
                texts[chapter] = read_transcript(chapter / f"{chapter.parent.name}-{chapter.name}.trans.txt")
            except InputError as error:
                texts[chapter] = {}
                found.append(Finding(ERROR, task, str(error)))
        words = texts[chapter].get(file.stem)
        utterances.append((file, words)) if words else without.append(file)
    return utterances, found + _several(ERROR, task, without, f"recordings of {split.name} without a text")


def read_headers(files: list[Path], title: str) -> dict[Path, Header]:
    """Length, rate and channels of each file, several at a time."""
    with ThreadPoolExecutor(HEADER_THREADS) as pool:
        return dict(
            tqdm(
                zip(files, pool.map(_header, files)),
                total=len(files),
                desc=title,
                unit="file",
                leave=False,
                disable=len(files) < 1000,
            )
        )


def _header(file: Path) -> Header:
    try:
        info = soundfile.info(file)
    except (soundfile.LibsndfileError, RuntimeError):
        return Header(None)
    return Header(info.frames, info.samplerate, info.channels)


def _too_fast(
    task: str, split: str, labels: dict[Path, list[str]], headers: dict[Path, Header], hop: int | None, extra: int
) -> list[Finding]:
    """CTC needs a state for each label, and one more between equal neighbours; others count nothing (`zero_infinity`)."""
    if hop is None or not labels:
        return []
    fast = [
        file
        for file, items in labels.items()
        if headers[file].samples
        and len(items) + extra + sum(a == b for a, b in zip(items, items[1:])) > round(headers[file].samples / hop)
    ]
    if not fast:
        return []
    share = 100 * len(fast) / len(labels)
    what = f"{len(fast)} utterances ({share:.1f} %) of {split} have more labels than there are states of {hop} samples"
    return [Finding(NOTE, task, f"{what}: CTC cannot align them")]


def _as_they_are(task: str, headers: dict[Path, Header]) -> list[Finding]:
    """Where S3PRL converts nothing."""
    known = {file: header for file, header in headers.items() if header.samples is not None}
    return [
        *_several(
            ERROR,
            task,
            [f for f, h in known.items() if h.channels != 1],
            "recordings that are not mono (S3PRL would stop, or take them for several)",
        ),
        *_several(
            ERROR,
            task,
            [f for f, h in known.items() if h.rate != RATE],
            "recordings that are not 16 kHz (S3PRL would take them as if they were)",
        ),
        *_several(ERROR, task, [f for f, h in known.items() if h.samples == 0], "recordings without a sample"),
    ]


def _unreadable(task: str, headers: dict[Path, Header]) -> list[Finding]:
    return _several(
        ERROR,
        task,
        [file for file, header in headers.items() if header.samples is None],
        "recordings that are missing or cannot be read",
    )


def _counts(task: str, counts: dict[str, int]) -> list[Finding]:
    return [
        Finding(WARNING, task, f"{name}: {count:,} items, the published corpus has {PUBLISHED[name]:,}: {INCOMPARABLE}")
        for name, count in counts.items()
        if name in PUBLISHED and count != PUBLISHED[name]
    ]


def _several(level: str, task: str, items: Iterable, what: str) -> list[Finding]:
    """One finding for any number of like things, of which the first few are named."""
    items = list(items)
    if not items:
        return []
    more = f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return [Finding(level, task, f"{len(items):,} {what}: {', '.join(map(str, items[:SHOWN]))}{more}")]


def _folders(root: Path) -> list[Path]:
    return sorted(folder for folder in root.iterdir() if folder.is_dir())


def _splits(data: dict, *keys: str) -> list[str]:
    """The folders that a configuration's splits name."""
    return list(dict.fromkeys(split for key in keys for split in data[key]))


def _table(file: Path, columns: int) -> list[list[str]]:
    """Lines of a Kaldi table."""
    rows = [line.split(None, columns - 1) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) != columns:
            raise InputError(f"{file.name}, line {number}: expected {columns} columns")
    return [[cell.strip() for cell in row] for row in rows]
