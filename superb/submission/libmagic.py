"""The type that libmagic gives a file: the leaderboard's server asks it, and drops a file of another type."""

from mmpt.upstream.errors import InputError

try:
    import pylibmagic  # noqa: F401  # isort: skip  (brings libmagic, which python-magic looks for when imported)
except ModuleNotFoundError:
    pass  # it has no wheel for aarch64 and Windows; the system may have libmagic
try:
    import magic  # isort: skip
except ModuleNotFoundError:
    raise  # python-magic itself is missing
except ImportError:
    magic = None  # type: ignore[assignment]  # libmagic is missing


def type_and_encoding(content: bytes) -> tuple[str, str]:
    """Return a file's MIME type and encoding, such as "text/plain" and "us-ascii".

    Raises:
        InputError: there is no libmagic here.
    """
    if magic is None:
        raise InputError("libmagic, which checks the files of a bundle, is not installed: apt install libmagic1")
    return magic.from_buffer(content, mime=True), magic.Magic(mime_encoding=True).from_buffer(content)
