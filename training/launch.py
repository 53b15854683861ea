"""How a training command of either stage begins and ends, alone or as one of torchrun's processes."""

import argparse
from collections.abc import Callable

from mmpt.training.distributed import World, join_world
from mmpt.training.run_folder import RunFolder


def launch(run: Callable[[argparse.Namespace, World], None], arguments: argparse.Namespace) -> None:
    """Runs one process's part, and leaves the others in good order."""
    world = join_world()
    try:
        run(arguments, world)
    except SystemExit:  # a signal: all processes stopped together
        world.close()
        raise
    world.close()  # not after an error, which others may not have met: they would be waited for


def claim(folder: RunFolder, arguments: argparse.Namespace, world: World) -> None:
    """Makes sure that the folder may be used as --resume and --fresh say; --resume-if-there becomes what it comes to.

    Raises:
        InputError: it may not (see RunFolder.check).
    """
    if arguments.resume_if_there:
        arguments.resume, arguments.fresh = folder.is_run(), False
        world.wait()  # all have looked before one of them makes it
    if world.is_main:
        folder.check(arguments.resume, arguments.fresh)
    world.wait()
