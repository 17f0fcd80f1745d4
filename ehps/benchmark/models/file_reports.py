"""What a file of weights is, in full: ``ehps benchmark checkpoint FILE``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ehps.benchmark import models
from ehps.benchmark.models import loading, weight_files
from ehps.benchmark.models.labels import label
from ehps.benchmark.models.loading import Fit
from ehps.benchmark.models.origins import bare
from ehps.benchmark.models.weight_files import WeightFile
from ehps.errors import DataError


@dataclass(frozen=True)
class FileReport:
    """A file of weights.

    Attributes
    ----------
    nbytes : of the file.
    form : how it is stored, in words.
    what : what it is of, in words; empty where it is not recognised.
    model : whose weights it was compared with, None where there is none to compare with.
    arguments : of this model, where the file is of it.
    starts : models that can start from it.
    tensors, numbers, weight_bytes : its weights.
    kinds : kinds of number among them.
    epoch : after which it was written, None where it does not say.
    optimizer_bytes : of tensors beside the weights, the state of an optimiser above all.
    beside : names of what else is in it.
    parts : first parts of its names.
    dropped : names of arrays that are no weights of the network, as those of the body model.
    renamed : how many weights have an older name.
    fit : how its weights agree with those of ``model``.
    """

    path: str
    nbytes: int
    form: str
    what: str
    model: str | None
    arguments: Mapping[str, Any]
    starts: tuple[str, ...]
    tensors: int
    numbers: int
    weight_bytes: int
    kinds: tuple[str, ...]
    epoch: int | None
    optimizer_bytes: int
    beside: tuple[str, ...]
    parts: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    renamed: int = 0
    fit: Fit | None = field(default=None)

    @property
    def fits(self) -> bool:
        """Whether these are the weights of ``model``, all of them and no other."""
        return self.fit is not None and self.fit.ok

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "optimizer": "optimizer" in self.beside, "fits": self.fits}

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"file: {self.path}, {_size(self.nbytes)}, {self.form}"
        yield f"what: {self.what or f'not recognised; its parts are {_few(self.parts)}'}"
        yield f"weights: {self.tensors:,} tensors, {self.numbers:,} numbers, {_size(self.weight_bytes)}, " + ", ".join(
            self.kinds
        )
        if self.epoch is not None:
            yield f"epoch: {self.epoch}"
        if "optimizer" in self.beside:
            yield f"optimizer: inside, {_size(self.optimizer_bytes)} with what is beside it"
        if others := [name for name in self.beside if name not in ("optimizer", "epoch")]:
            yield f"beside: {', '.join(others)}"
        if self.dropped:
            yield f"left out: {len(self.dropped)} that are no weights of the network ({_few(self.dropped)})"
        if self.renamed:
            yield f"renamed: {self.renamed} that have an older name"
        if self.starts:
            yield f"to start from: of {', '.join(self.starts)}, with the setting init"
        if self.fit is not None:
            model = label(str(self.model), self.arguments)
            yield f"model: {model}; " + ("all its weights are there" if self.fits else "its weights do not fit")
            yield from self._misfits(self.fit)

    def _misfits(self, fit: Fit) -> Iterator[str]:
        shaped = [f"{name} {have} instead of {want}" for name, have, want in fit.misshaped]
        for what, names in (
            ("missing", fit.missing),
            ("unexpected", fit.unexpected),
            ("of another shape", shaped),
            ("of another kind of number", fit.other_kind),
        ):
            if names:
                yield f"  {what}: {len(names)} ({_few(names)})"


def examine(path: Path, name: str | None = None) -> FileReport:
    """What a file is, compared with model ``name``, by default that which it is of.

    Raises
    ------
    DataError : as :func:`ehps.benchmark.models.weight_files.read`.
    UsageError : there is no such model.
    """
    if name is not None:
        models.check(name)
    file = weight_files.read(path)
    origin = loading.origin_of(file)
    chosen = name or (origin.model if origin else None)
    arguments = {} if chosen is None else loading.arguments_of(file, chosen)
    compared = {} if chosen is None else _compared(file, chosen, arguments)
    return FileReport(
        path=str(path),
        nbytes=Path(path).stat().st_size,
        form=file.form,
        what=origin.title if origin else "",
        model=chosen,
        arguments=arguments,
        starts=tuple(loading.starting(origin)) if origin else (),
        tensors=len(file.state),
        numbers=sum(value.numel() for value in file.state.values()),
        weight_bytes=file.nbytes,
        kinds=tuple(sorted({str(value.dtype).removeprefix("torch.") for value in file.state.values()})),
        epoch=file.epoch,
        optimizer_bytes=sum(value.numel() * value.element_size() for value in _tensors(file.beside)),
        beside=tuple(file.beside),
        parts=tuple(sorted({bare(one).split(".")[0] for one in file.state})),
        **compared,
    )


def _compared(file: WeightFile, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    own = loading.own_state(name, arguments)
    try:
        found = loading.translated(file, models.card(name).rules)
    except DataError as error:
        raise DataError(error.what, path=file.path, fix="choose another --model") from None
    return {"dropped": found.dropped, "renamed": found.renamed, "fit": loading.compared(found.state, own)}


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors inside of plain containers."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(one)


def _few(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _size(nbytes: int) -> str:
    return f"{nbytes / 1e9:.2f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.1f} MB"
