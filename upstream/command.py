"""End a command cleanly: bad input is one line on standard error and exit status 2, never a traceback."""

import functools
import sys
from collections.abc import Callable

from mmpt.upstream.errors import InputError, describe_os_error
from mmpt.upstream.extras import what_to_install
from mmpt.upstream.mmpt_av import CheckpointError


def clean_exit(main: Callable[..., int | None]) -> Callable[..., int]:
    """Wrap a command's `main` so that it returns its exit status.

    The status is 2 after an InputError, a CheckpointError, an OSError or a missing library, and 130 after Ctrl-C.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs) -> int:
        try:
            return main(*args, **kwargs) or 0
        except (InputError, CheckpointError) as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
        except ModuleNotFoundError as error:
            line = what_to_install(error)
            if line is None:
                raise
            print(f"error: {line}", file=sys.stderr)
            return 2
        except OSError as error:
            print(f"error: {describe_os_error(error)}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    return wrapped
