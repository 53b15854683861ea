"""Enable S3PRL in each Python that starts with this folder on PYTHONPATH, then run the sitecustomize that it hides."""

import sys
from importlib import import_module
from os.path import abspath, dirname


def enable_s3prl() -> None:
    """Call `enable()`; a Python of another environment, which has no mmpt, stays as it is."""
    try:
        from mmpt.upstream.s3prl_runner import enable
    except ImportError:
        return
    enable()


def run_hidden() -> None:
    """Run the `sitecustomize` of the machine or the environment, if there is one."""
    folder, ours = dirname(abspath(__file__)), sys.modules.pop(__name__)
    sys.path[:] = [place for place in sys.path if abspath(place) != folder]
    try:
        import_module("sitecustomize")
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules[__name__] = ours


if __name__ == "sitecustomize":
    enable_s3prl()
    run_hidden()
