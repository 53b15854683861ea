"""The error of a checkpoint that cannot be used. Importing it does not import torch."""

import os


class CheckpointError(Exception):
    """A checkpoint that cannot be used. The message is one line and begins with the file's name."""

    def __init__(self, path: str | os.PathLike[str], problem: str):
        super().__init__(f"{path}: {' '.join(problem.split())}")
