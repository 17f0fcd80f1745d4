"""Rankings from CSV files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ehps.analysis import tables
from ehps.analysis.ranking import rank
from ehps.analysis.result_tables import read_ranking
from ehps.errors import DataError
from tests.analysis.test_ranking import errors_of, results

HEAD = "train_set,agora,ubody,egobody_ego,pw3d,ehf"


def saved(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_what_rank_writes_is_read_again(tmp_path: Path) -> None:
    cells = results().assign(instances=100)
    ranked = rank(cells, errors_of(cells))
    again = read_ranking(tables.write(ranked, tmp_path / "ranking.csv"))
    for name in ("rank", "train_set", "instances", "agora", "pw3d"):
        assert again[name].tolist() == ranked[name].tolist(), name
    np.testing.assert_allclose(again["mpe"], ranked["mpe"])


def test_headings_of_papers_and_unknown_sets_are_taken(tmp_path: Path) -> None:
    file = saved(
        tmp_path / "paper.csv",
        "Training set,Instances,AGORA PVE,UBody,EgoBody PVE,3DPW MPJPE,EHF PVE,Real or synthetic",
        'BEDLAM,"951,066",100,90,80,70,60,synthetic',
        "my own set,,110,90,80,70,-,real",
    )
    ranked = read_ranking(file)
    assert ranked["train_set"].tolist() == ["bedlam", "my own set"]
    assert ranked["instances"].tolist()[0] == 951_066
    assert ranked["appearance"].tolist() == ["synthetic", "real"]
    assert ranked["missing"].tolist() == ["", "EHF"]
    assert ranked["mpe"][0] == 80


def test_other_test_sets_count_where_all_present_do(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.csv", "train_set,ARCTIC PVE,ehf", "a,50,70", "b,90,50")
    ranked = read_ranking(file, present=True)
    assert ranked["mpe"].tolist() == [60, 70]
    assert read_ranking(file)["mpe"].isna().all()


def test_a_mean_or_a_rank_alone_will_do(tmp_path: Path) -> None:
    means = read_ranking(saved(tmp_path / "a.csv", "train_set,mpe", "a,90", "b,80", "c,"))
    assert means["train_set"].tolist() == ["b", "a", "c"]
    assert means["rank"].tolist()[:2] == [1, 2]
    ranks = read_ranking(saved(tmp_path / "b.csv", "train_set,rank", "a,1-2", "b,1-2", "c,3"))
    assert ranks["rank"].tolist() == [1, 1, 3]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["name,agora", "a,1"], "no column train_set, but name, agora"),
        ([HEAD + ",SSP3D mIoU", "a,1,1,1,1,1,70"], "'ssp3d_miou', which is no primary error"),
        ([HEAD + ",colour", "a,1,1,1,1,1,red"], "'colour'"),
        ([HEAD, "a,100,x,90,90,90"], "column ubody, row 2: 'x' is no number"),
        ([HEAD, "a,0.1,0.1,0.1,0.1,0.1"], "looks like metres"),
        ([HEAD, "a,100,90,-3,70,60"], "column egobody_ego, row 2: -3 is negative"),
        ([HEAD, "a,100,90,80,70,60", "a,100,90,80,70,60"], "two rows of a"),
        ([HEAD + ",mpe", "a,100,90,80,70,60,85"], "the MPE of a is 85, but its errors average 80.00"),
        ([HEAD], "has no rows"),
        (["train_set,scene", "a,indoor"], "has no errors to rank by"),
        ([HEAD + ",AGORA", "a,100,90,80,70,60,1"], "two columns agora"),
        ([HEAD, ",100,90,80,70,60"], "row 2 names no training set"),
    ],
)
def test_faults_are_named(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(DataError) as caught:
        read_ranking(saved(tmp_path / "table.csv", *lines))
    assert words in str(caught.value)
    assert "table.csv" in str(caught.value)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(DataError, match="no CSV table"):
        read_ranking(file)
