"""The report of a conversion: what it prints of what was measured."""

from pathlib import Path

import pytest

from ehps.converters.pipeline.report import Report
from ehps.humandata.quality_table import MEASURES


def test_every_measure_that_is_for_reports_is_printed_with_its_unit_and_digits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = Report("hall", "train", Path("out.h5"))
    report.quality = {measure.name: {"p50": 1 / 3, "p99": 2.0, "max": 3.0} for measure in MEASURES}
    report.print()
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for measure in MEASURES:
        printed = [line for line in lines if line.startswith(f"{measure.label} 0.3")]
        assert len(printed) == (measure.digits is not None), measure.name
        if printed:
            assert printed[0].split()[-1] == f"{3:.{measure.digits}f}"
