"""How worker processes start."""

from __future__ import annotations

import multiprocessing
import sys

import pytest

from ehps.worker_processes import sharing_context

UNUSED = "colorsys"


def tell(to: multiprocessing.connection.Connection) -> None:
    to.send(UNUSED in sys.modules)


@pytest.mark.skipif(sys.platform != "linux", reason="others start processes in their own way")
def test_where_processes_are_not_forked_they_find_what_they_need_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    context = sharing_context(UNUSED)
    assert context.get_start_method() == "forkserver"
    here, there = context.Pipe()
    process = context.Process(target=tell, args=(there,))
    process.start()
    assert here.poll(30)
    assert here.recv() is True
    process.join()


def test_where_they_are_forked_they_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "fork")
    assert sharing_context(UNUSED).get_start_method() == "fork"
