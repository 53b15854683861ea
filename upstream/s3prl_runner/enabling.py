"""Mend and complete S3PRL in anyone's process, at the moment that the process imports it.

A finder of Python's import system waits for S3PRL's modules: it applies the repairs before the first of them runs, and
makes our registrations in those that they concern. A process that never imports S3PRL pays nothing.

Imports neither torch nor S3PRL.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGE = "s3prl"


def enable() -> None:
    """Make S3PRL import on today's libraries, and give it our upstreams `mmpt_av` and `hf`.

    Call it before S3PRL is imported; later it still registers. It may be called again.

    Examples:
        >>> from mmpt.upstream.s3prl_runner import enable
        >>> enable()
        >>> from s3prl.nn import S3PRLUpstream
        >>> encoder = S3PRLUpstream("mmpt_av", path_or_url="encoder.pt")
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    if PACKAGE in sys.modules:
        _repair(sys.modules[PACKAGE])
        for name, module in [*sys.modules.items()]:
            if name.startswith(f"{PACKAGE}."):
                _register(module)


class _Finder:
    """Finds S3PRL's modules where Python's other finders do, and changes how they are executed."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a module of S3PRL that is repaired or completed, and None for any other module."""
        if name == PACKAGE:
            return _with_steps(self._find(name, path, target), before=_repair)
        if name.startswith(f"{PACKAGE}."):
            from mmpt.upstream.s3prl_runner.registration import WHEN_LOADED

            if name in WHEN_LOADED:
                return _with_steps(self._find(name, path, target), after=_register)
        return None

    def _find(self, name: str, path: Any, target: ModuleType | None) -> ModuleSpec | None:
        others = (finder for finder in sys.meta_path if not isinstance(finder, _Finder))
        return next((spec for finder in others if (spec := finder.find_spec(name, path, target))), None)


def _with_steps(
    spec: ModuleSpec | None,
    before: Callable[[ModuleType], None] = lambda module: None,
    after: Callable[[ModuleType], None] = lambda module: None,
) -> ModuleSpec | None:
    """Return a spec whose module is executed with one step before and one after."""
    if spec is None or spec.loader is None:  # not installed, or a folder without an __init__.py
        return spec
    execute = spec.loader.exec_module

    def exec_module(module: ModuleType) -> None:
        before(module)
        execute(module)
        after(module)

    vars(spec.loader)["exec_module"] = exec_module  # of this spec's loader alone
    return spec


def _repair(module: ModuleType) -> None:
    from mmpt.upstream.s3prl_runner import repairs

    repairs.apply()


def _register(module: ModuleType) -> None:
    from mmpt.upstream.s3prl_runner.registration import WHEN_LOADED

    if change := WHEN_LOADED.get(module.__name__):
        change(module)
