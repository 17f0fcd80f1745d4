from __future__ import annotations

import os
from pathlib import Path

from ehps.body.helper_files import HELPERS, find_helper


def test_a_pipe_with_the_name_of_a_helper_file_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for key, helper in HELPERS.items():
        os.mkfifo(tmp_path / helper.names[0])
        os.mkfifo(tmp_path / "deep" / helper.names[0])
        assert find_helper(tmp_path, key) is None
