"""Start and end of a training command's process, alone or as one of torchrun's."""

from collections.abc import Callable

from mmpt.training.distributed import World, join_world


def launch(run: Callable[[World], None]) -> None:
    """Join the other processes, run this one's part, and leave them."""
    world = join_world()
    try:
        run(world)
    except SystemExit:  # a signal: all processes stopped together
        world.close()
        raise
    world.close()  # not after an error: close() would wait for processes that did not meet it
