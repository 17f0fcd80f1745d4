"""Parts of a model that a training leaves as they are (``freeze``)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ehps.errors import SettingsError, UsageError, did_you_mean


def freeze(net: nn.Module, names: Sequence[str]) -> None:
    """Let the weights of ``names`` need no gradient: parts of the model (``blocks.0``) or single weights.

    Raises
    ------
    SettingsError : names of nothing: all of them.
    UsageError : nothing is left to train.
    """
    faults = list[str]()
    for name in names:
        found = [weight for path, weight in net.named_parameters() if path == name or path.startswith(f"{name}.")]
        if not found:
            known = [part for part, _ in net.named_modules() if part.count(".") < 2 and part]
            faults.append(f"freeze names {name!r}, which the model does not have; {did_you_mean(name, known)}")
        for weight in found:
            weight.requires_grad_(False)
    if faults:
        raise SettingsError(faults)
    if names and not any(weight.requires_grad for weight in net.parameters()):
        raise UsageError(f"freeze leaves nothing to train: {', '.join(names)}", fix="name fewer parts")


def trained_mode(net: nn.Module) -> None:
    """Training mode, but for modules all of whose weights are frozen: these keep their statistics and drop nothing."""
    net.train()
    for module in net.modules():
        weights = list(module.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            module.eval()
