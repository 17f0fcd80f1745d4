"""Which protocols a test file fits: whether it has the true bodies that they compare with."""

from __future__ import annotations

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.given_joints import COLUMN as GIVEN_JOINTS
from ehps.benchmark.protocols.image_labels import needed_columns
from ehps.benchmark.protocols.measures import measures
from ehps.benchmark.protocols.protocol import Protocol
from ehps.benchmark.protocols.tracks import needed_columns as columns_of_tracks
from ehps.body.topology import NAMES
from ehps.errors import UsageError
from ehps.humandata.core import HumanData
from ehps.humandata.passport import UNKNOWN


def wanted(protocol: Protocol) -> dict[str, str]:
    """Columns of the truth that a protocol compares with, and what they are in words."""
    found = {name: name for name in needed_columns(measures(protocol))}
    found |= {name: name for name in columns_of_tracks(protocol, measures(protocol))}
    if protocol.truth == "given-vertices":
        return {"vertices3d_path": "the vertices of its meshes (vertices3d_path)"} | found
    if protocol.with_given_joints:
        found[GIVEN_JOINTS] = f"the dataset's own joints ({GIVEN_JOINTS})"
    if protocol.with_betas:
        return {f"{protocol.body}/betas": f"{NAMES[protocol.body]} parameters"} | found
    return found


def fits(protocol: Protocol, hd: HumanData) -> bool:
    """Whether the file has the truth that the protocol compares with."""
    return all(name in hd for name in wanted(protocol))


def fitting(hd: HumanData) -> list[str]:
    """Names of the registered protocols that fit a file, those made for its dataset first."""
    own = hd.passport.dataset.split("_")[0]
    names = [name for name in catalogue.names() if fits(catalogue.get(name), hd)]
    return sorted(names, key=lambda name: not name.startswith(own))


def require_fit(protocol: Protocol, hd: HumanData) -> None:
    """
    Raises
    ------
    UsageError : the file does not have what the protocol compares with; it says which protocols it fits.
    """
    if fits(protocol, hd):
        return
    dataset = hd.passport.dataset
    what = " and ".join(said for name, said in wanted(protocol).items() if name not in hd)
    known = "" if dataset == UNKNOWN else f"is {dataset}; "
    names = fitting(hd)
    raise UsageError(
        f"{known}protocol {protocol.id} wants {what}, which it does not have",
        path=hd.source,
        fix=f"protocols that it fits: {', '.join(names)}" if names else "it has nothing that a protocol compares with",
    )
