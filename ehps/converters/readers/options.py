"""Options of multi-view video: which cameras, and every how many-th time step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ehps.errors import UsageError


def cameras(options: Mapping[str, str], known: Sequence[str]) -> tuple[str, ...]:
    """The cameras that ``cameras=a,b`` names, in the order of ``known``; all without it.

    Raises
    ------
    UsageError : there is no such camera.
    """
    chosen = options.get("cameras", "all")
    if chosen == "all":
        return tuple(known)
    wanted = [name.strip() for name in chosen.split(",")]
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"cameras={chosen}: no camera {unknown[0]!r}; there are {', '.join(known)}")
    return tuple(name for name in known if name in wanted)


def stride(options: Mapping[str, str]) -> int:
    """N of ``stride=N``: every N-th time step is taken, 1 without it.

    Raises
    ------
    UsageError : it is no whole number from 1 on.
    """
    chosen = options.get("stride", "1")
    if not chosen.isdecimal() or int(chosen) < 1:
        raise UsageError(f"stride={chosen}: a whole number from 1 on is needed")
    return int(chosen)
