"""Protocols are values: stored, compared, changed by name, never mixed."""

import json

import pytest

from ehps.benchmark.protocols import catalogue
from ehps.benchmark.protocols.catalogue import Protocol
from ehps.errors import UsageError


@pytest.mark.parametrize("name", catalogue.names())
def test_a_protocol_survives_being_stored(name: str) -> None:
    one = catalogue.get(name)
    again = Protocol.from_dict(json.loads(one.to_json()))
    assert again == one
    assert again.to_json() == one.to_json()
    assert one.id == name


def test_changes_are_part_of_the_name() -> None:
    changed = catalogue.get("ubody-intra[step=1]")
    assert changed.step == 1
    assert changed.id == "ubody-intra[step=1]"
    assert catalogue.get(changed.id) == changed
    assert catalogue.get("agora-val[truth=given-vertices]").truth == "given-vertices"


@pytest.mark.parametrize("spec", ["nothing", "ehf[colour=red]", "ehf[step=many]", "ehf[step", "ehf[name=x]"])
def test_what_is_not_a_protocol_is_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        catalogue.get(spec)


def test_mixing_names_the_field_that_differs() -> None:
    with pytest.raises(UsageError, match="step: 100 and 1"):
        catalogue.same([catalogue.get("ubody-intra"), catalogue.get("ubody-intra[step=1]")])
    assert catalogue.same([catalogue.get("ehf"), catalogue.get("ehf")]) == catalogue.get("ehf")
