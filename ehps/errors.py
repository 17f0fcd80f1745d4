"""What can go wrong, in words for the person at the terminal.

Each error says which file it is about, what is wrong with it, and what to do. Errors are raised where the
fact is known and caught once, in :mod:`ehps.cli`, which prints them without a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


class EhpsError(Exception):
    """Base of all errors meant for the user.

    Parameters
    ----------
    what : what is wrong, one sentence without a full stop.
    path : the file or folder it is about.
    fix : what to do about it, one sentence without a full stop.
    """

    exit_code = 1

    def __init__(self, what: str, *, path: str | Path | None = None, fix: str | None = None) -> None:
        self.what, self.path, self.fix = what, path, fix
        super().__init__(what, path, fix)

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path is not None else ""
        remedy = f". {self.fix[:1].upper()}{self.fix[1:]}" if self.fix else ""
        return f"{where}{self.what}{remedy}"

    @property
    def lines(self) -> tuple[str, ...]:
        """What is printed: one line a fault."""
        return (str(self),)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.path, self.fix))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to do about an unknown name: try one that is like it, or see which there are."""
    from difflib import get_close_matches

    names = {name.lower(): name for name in known}
    near = [names[name] for name in get_close_matches(word.lower(), names, n=3)]
    return f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names.values())}"


def _rebuild(kind: type[EhpsError], what: str, path: str | Path | None, fix: str | None) -> EhpsError:
    return kind(what, path=path, fix=fix)


class UsageError(EhpsError):
    """The call itself is wrong: an unknown id, split, option or column."""

    exit_code = 2


class SettingsError(UsageError):
    """One or several settings that cannot be used, all that were found.

    Parameters
    ----------
    faults : each a sentence without a full stop: the setting, its value, what is expected.
    path : the file they are in.
    """

    def __init__(self, faults: Sequence[str], *, path: str | Path | None = None, fix: str | None = None) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults), path=path, fix=fix)

    @property
    def lines(self) -> tuple[str, ...]:
        where = f"{self.path}: " if self.path is not None else ""
        lines = [f"{where}{fault}" for fault in self.faults]
        return (*lines[:-1], str(UsageError(self.faults[-1], path=self.path, fix=self.fix)))

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_settings, (self.faults, self.path, self.fix))


def _rebuild_settings(faults: tuple[str, ...], path: str | Path | None, fix: str | None) -> SettingsError:
    return SettingsError(faults, path=path, fix=fix)


class DataError(EhpsError):
    """A data file is missing, damaged, or not what it should be."""


class InUseError(DataError):
    """Another process works on the same file or folder."""


class UnsafeFileError(DataError):
    """A file asks for code that is not on the allow-list; nothing of it was executed."""


class BodyModelError(EhpsError):
    """A licensed body-model file is missing or of another kind than needed."""


class PassportError(EhpsError):
    """Columns with different meanings were about to be mixed."""
