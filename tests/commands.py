"""The command line in this process, for test modules that define converters.

What these import is their converters' code, and to hash all of the package takes longer than a test.
"""

from __future__ import annotations

from click.testing import CliRunner, Result

from ehps.cli import main


def ehps(*words: str) -> Result:
    """What ``ehps WORDS`` does and says."""
    return CliRunner().invoke(main, words)
