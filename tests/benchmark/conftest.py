"""Threads of benchmark tests."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Many short operations: threads that compete with other tests make them ten times slower."""
    torch.set_num_threads(1)
