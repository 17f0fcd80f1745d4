"""Reading pickles and pickled numpy files of other people without running anything in them."""

from ehps.humandata.pickles.allowed import Allow
from ehps.humandata.pickles.joblib_dumps import load_joblib
from ehps.humandata.pickles.loading import (
    CHUMPY,
    KEPT_SPARSE,
    PANDAS,
    SCIPY_SPARSE,
    TORCH,
    load_npy,
    load_npz,
    load_pickle,
)

__all__ = [
    "CHUMPY",
    "KEPT_SPARSE",
    "PANDAS",
    "SCIPY_SPARSE",
    "TORCH",
    "Allow",
    "load_joblib",
    "load_npy",
    "load_npz",
    "load_pickle",
]
