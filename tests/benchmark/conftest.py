"""Threads of benchmark tests."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Many short operations: threads that compete with other tests make them ten times slower."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def forks_wait_for_no_thread() -> None:
    """A copy of this process would wait for the threads that only the original has."""
    torch.set_num_threads(1)
