"""Which protocols a test file fits: whether it has the true bodies that they compare with."""

from __future__ import annotations

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.protocol import Protocol
from ehps.body.topology import NAMES
from ehps.errors import UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.passport import UNKNOWN


def wanted(protocol: Protocol) -> tuple[str, str]:
    """The truth that a protocol compares with, in words, and a column of it."""
    if protocol.truth == "given-vertices":
        return "the vertices of its meshes (vertices3d_path)", "vertices3d_path"
    return f"{NAMES[protocol.body]} parameters", f"{protocol.body}/betas"


def fits(protocol: Protocol, hd: HumanData) -> bool:
    """Whether the file has the truth that the protocol compares with."""
    return wanted(protocol)[1] in hd


def fitting(hd: HumanData) -> list[str]:
    """Names of the registered protocols that fit a file, those made for its dataset first."""
    own = hd.passport.dataset.split("_")[0]
    names = [name for name in catalogue.names() if fits(catalogue.get(name), hd)]
    return sorted(names, key=lambda name: name.split("-")[0] != own)


def require_fit(protocol: Protocol, hd: HumanData) -> None:
    """
    Raises
    ------
    UsageError : the file does not have what the protocol compares with; it says which protocols it fits.
    """
    if fits(protocol, hd):
        return
    dataset, what = hd.passport.dataset, wanted(protocol)[0]
    known = "" if dataset == UNKNOWN else f"is {dataset}; "
    names = fitting(hd)
    raise UsageError(
        f"{known}protocol {protocol.id} wants {what}, which it does not have",
        path=hd.source,
        fix=f"protocols that it fits: {', '.join(names)}" if names else "it has nothing that a protocol compares with",
    )
