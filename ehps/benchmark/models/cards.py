"""What is declared of a model: the network, what it wants to see, how it is trained, and how its public files are read.

Nothing here needs torch: the names of models are wanted by every command.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import nn

AUTHORS = "see the authors' page"
BODY_TERMS = {"pose": 10, "shape": 1, "expression": 1, "joints": 100, "part_joints": 100, "projection": 1}
"""Terms of the loss of a model that predicts SMPL-X and nothing beside it, and their weights."""


@dataclass(frozen=True)
class View:
    """The crop that a network wants to see.

    Attributes
    ----------
    size : height, width that the network reads, pixels.
    box : 3:4 (width to height) or square about the person's box.
    ratio : scale of a stored box, which has its 20 % margin, after it was made ``box``.
    sampling : ``bilinear`` (large images alias) or ``averaged`` (they are averaged down).
    window : ``affine``, or ``whole pixels``: the box is cut out at whole pixels of the image, then resized.
    mean, std : of the channels, red first, which the network itself subtracts and divides by; None where it does not.
    turned : share of the augmented crops that are turned.
    colour : by how much their channels become darker or lighter at most.
    note : what else there is to know.
    """

    size: tuple[int, int]
    box: Literal["3:4", "square"]
    ratio: float
    sampling: Literal["bilinear", "averaged"]
    window: Literal["affine", "whole pixels"] = "affine"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    turned: float = 0.6
    colour: float = 0.2
    note: str = ""


@dataclass(frozen=True)
class Stage:
    """How the authors trained a model: settings of :class:`~ehps.benchmark.training.specs.TrainConfig`.

    Attributes
    ----------
    settings : those that differ from the defaults of ehps.
    starts_from : what weights it begins with, in words.
    note : what no setting says: sets, devices.
    """

    settings: Mapping[str, Any]
    starts_from: str
    note: str = ""


@dataclass(frozen=True)
class FileRules:
    """How the names in a public file become those of the network; ``module.`` before all of them is always removed.

    Attributes
    ----------
    renamed : first part of a name -> what it is called today.
    dropped : regular expressions of names that are no weights of the network: arrays of the body model.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """Weights of another network that a training may begin with.

    Attributes
    ----------
    origin : what the file must be, as :mod:`ehps.benchmark.models.origins` calls it: ``vitpose_s``.
    title : the same in words.
    parts : before the names in the model -> before those in the file; all of each part must be filled.
    dropped : regular expressions of names in the file that the model has no place for.
    may_miss : regular expressions of names of the parts that the file does not have.
    """

    origin: str
    title: str
    parts: Mapping[str, str]
    dropped: tuple[str, ...] = ()
    may_miss: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant:
    """A network that a model is with some arguments, whose files are told from the model's by what is in them.

    Attributes
    ----------
    arguments : that make it.
    origin : what its files are, as :mod:`ehps.benchmark.models.origins` calls them.
    title : the same in words.
    parameters : that it has.
    untrained : in place of the card's.
    """

    arguments: Mapping[str, Any]
    origin: str
    title: str
    parameters: int | None = None
    untrained: tuple[str, ...] = ()


@dataclass(frozen=True)
class NeededFile:
    """A file that ehps does not bring, what for, and where it is got."""

    name: str
    use: str
    source: str


@dataclass(frozen=True)
class ModelCard:
    """One model.

    Attributes
    ----------
    name : for :func:`ehps.benchmark.models.build`.
    network : what makes it, called with ``fixed`` and the arguments of the user; ``module:Name`` is imported when it
        is wanted.
    title : as its authors call it.
    body : the body model whose parameters it predicts.
    view : what it wants to see; None for that of the network's own attributes alone.
    parameters : that are trained, of the network as it is without arguments.
    gflop : work an image, two for a multiplication with an addition.
    objective : what it is trained for, ``module:Name`` of an :class:`~ehps.benchmark.training.objectives.Objective`.
    losses : term -> weight, as published.
    loss_words : settings of the loss beside the weights that the objective reads.
    untrained : names of parts of the network without arguments, or of weights, that no term of the loss reaches.
    variants : networks with some arguments that are known as something of their own.
    stages : name -> how it was trained.
    rules : how its public files are read.
    starts : what a training may begin with, each of them alone.
    files : that it needs.
    licence : of the public weights.
    paper, homepage : of its authors.
    notes : what is to be known.
    """

    name: str
    network: str | Callable[..., nn.Module]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    body: Literal["smplx", "smpl"] = "smplx"
    view: View | None = None
    parameters: int | None = None
    gflop: float | None = None
    objective: str = "ehps.benchmark.training.objectives:WholeBody"
    losses: Mapping[str, float] = field(default_factory=BODY_TERMS.copy)
    loss_words: tuple[str, ...] = ("rotation_form",)
    untrained: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    stages: Mapping[str, Stage] = field(default_factory=dict)
    rules: FileRules = FileRules()
    starts: tuple[Start, ...] = ()
    files: tuple[NeededFile, ...] = ()
    licence: str = AUTHORS
    paper: str = ""
    homepage: str = ""
    notes: tuple[str, ...] = ()

    def make(self, **arguments: Any) -> nn.Module:
        """The network with fresh weights."""
        return self._function()(**self.fixed, **arguments)

    def arguments(self) -> dict[str, bool] | None:
        """Names of the arguments that :meth:`make` takes, and whether each must be given; None where it takes any."""
        try:
            parameters = inspect.signature(self._function()).parameters.values()
        except ValueError:  # of what is not written in Python
            return None
        if any(one.kind is one.VAR_KEYWORD for one in parameters):
            return None
        named = [one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
        return {one.name: one.default is one.empty for one in named if one.name not in self.fixed}

    def variant(self, arguments: Mapping[str, Any]) -> Variant | None:
        """The variant that the network with these arguments is, if it is one."""
        found = (one for one in self.variants if one.arguments.items() <= arguments.items())
        return next(found, None)

    def untrained_with(self, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        """``untrained`` of the network with these arguments."""
        variant = self.variant(arguments)
        return self.untrained if variant is None else variant.untrained

    def _function(self) -> Callable[..., nn.Module]:
        if not isinstance(self.network, str):
            return self.network
        module, _, name = self.network.partition(":")
        made: Callable[..., nn.Module] = getattr(importlib.import_module(module), name)
        return made
