"""Types of columns in the words of the Hugging Face hub, which all versions of ``datasets`` know."""

from __future__ import annotations

from typing import Any

IMAGE = "image"
"""The column with the images."""
HUB_NAMES = {"float": "float32", "double": "float64", "halffloat": "float16"}


def stored(name: str, kind: Any) -> dict[str, Any]:
    """As it stands in a file: the type ``kind`` that pyarrow has for the column."""
    import pyarrow as pa

    if name == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_fixed_size_list(kind):
        return {"feature": stored("", kind.value_type), "length": kind.list_size, "_type": "Sequence"}
    return {"dtype": HUB_NAMES.get(str(kind), str(kind)), "_type": "Value"}


def written(name: str, kind: Any) -> dict[str, Any]:
    """As it stands in the head of a dataset's page."""
    import pyarrow as pa

    if name == IMAGE:
        return {"dtype": "image"}
    if not pa.types.is_fixed_size_list(kind):
        return {"dtype": HUB_NAMES.get(str(kind), str(kind))}
    inner = written("", kind.value_type)
    within = inner["dtype"] if set(inner) == {"dtype"} else inner
    return {"sequence": within, "length": kind.list_size}
