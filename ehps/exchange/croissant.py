"""Croissant metadata (JSON-LD, version 1.1) of a HumanData file or of a folder of Parquet shards.

Names, licence, citation and homepage are those of the dataset's card, sizes and hashes those of the files. Columns of
Parquet shards become fields that ``mlcroissant`` reads rows through; an ``.h5`` or ``.npz`` is described as a file,
with its columns in ``variableMeasured``, since Croissant has no word for arrays in them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ehps.atomic import write_text
from ehps.errors import UsageError
from ehps.exchange.dataset_card import cards_of
from ehps.exchange.forms import Sources, Written
from ehps.humandata import schema as fields
from ehps.humandata.core import HumanData

NAME = "croissant.json"
VERSION = "http://mlcommons.org/croissant/1.1"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "arrayShape": "cr:arrayShape",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
TYPES = {"f": "sc:Float", "i": "sc:Integer", "u": "sc:Integer", "b": "sc:Boolean"}
FORMATS = {".h5": "application/x-hdf5", ".npz": "application/zip", ".parquet": "application/x-parquet"}


def write(hd: HumanData, out: Path, sources: Sources) -> Written:
    """Metadata of the file that ``hd`` was opened from, in the file ``out``, or as ``croissant.json`` in that folder.

    Raises
    ------
    UsageError : the rows are of no file.
    """
    if hd.source is None:
        raise UsageError("these rows are of no file: save them first")
    path = out if out.suffix == ".json" else out / NAME
    described = _whole(hd)
    described["distribution"] = [_file(hd.source, hd.source.parent)]
    described["variableMeasured"] = [_variable(name) for name in hd.columns]
    write_text(path, json.dumps(described, indent=1, ensure_ascii=False) + "\n")
    left_out = "rows: Croissant cannot point into an .h5 or .npz; `--for parquet` writes files that it can"
    return Written([path], [left_out])


def describe(hd: HumanData, folder: Path, shards: Sequence[Path], schema: Any) -> Path:
    """Write ``croissant.json`` of shards below ``folder``.

    Parameters
    ----------
    schema : of the shards, as pyarrow has it.
    """
    described = _whole(hd)
    shard_set = {
        "@type": "cr:FileSet",
        "@id": "shards",
        "name": "shards",
        "encodingFormat": FORMATS[".parquet"],
        "includes": f"{shards[0].parent.relative_to(folder).as_posix()}/*.parquet",
    }
    described["distribution"] = [*(_file(shard, folder) for shard in shards), shard_set]
    described["recordSet"] = [
        {
            "@type": "cr:RecordSet",
            "@id": "persons",
            "name": "persons",
            "description": "One person in one image a row.",
            "field": [_field(field.name, field.type) for field in schema],
        }
    ]
    return write_text(folder / NAME, json.dumps(described, indent=1, ensure_ascii=False) + "\n")


def _whole(hd: HumanData) -> dict[str, Any]:
    cards, passport = cards_of(hd), hd.passport
    stated = ", ".join(f"{key} {value}" for key, value in passport.to_dict().items() if value is not None)
    described: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSION,
        "name": "_".join(filter(None, (passport.dataset.replace("+", "_"), passport.split.replace("+", "_")))),
        "description": f"{len(hd)} persons with body parameters and keypoints as HumanData. Passport: {stated}.",
        "license": [card.licence for card in cards] or ["unknown"],
        "citeAs": " ".join(card.paper for card in cards) or "unknown",
        "creator": {"@type": "sc:Organization", "name": ", ".join(card.name for card in cards) or passport.dataset},
        "datePublished": datetime.now(UTC).date().isoformat(),
    }
    if cards:
        described["url"] = [card.homepage for card in cards]
    return described


def _file(path: Path, folder: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": FORMATS[path.suffix.lower()],
        "sha256": digest,
    }


def _field(name: str, kind: Any) -> dict[str, Any]:
    import pyarrow as pa

    known = fields.field(name)
    shape: list[int] = []
    while pa.types.is_fixed_size_list(kind):
        shape.append(kind.list_size)
        kind = kind.value_type
    extract: dict[str, Any] = {"column": name}
    source: dict[str, Any] = {"fileSet": {"@id": "shards"}, "extract": extract}
    if pa.types.is_struct(kind):
        data_type, meaning = "sc:ImageObject", "the image file, as it is"
        source["transform"] = {"jsonPath": "bytes"}
    else:
        letter = "U" if pa.types.is_string(kind) else _letter(kind)
        data_type, meaning = TYPES.get(letter, "sc:Text"), _meaning(known)
    described: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"persons/{name}",
        "name": name,
        "description": meaning,
        "dataType": data_type,
        "source": source,
    }
    if shape:
        described |= {"isArray": True, "arrayShape": ",".join(map(str, shape))}
    return described


def _letter(kind: Any) -> str:
    import numpy as np

    return np.dtype(kind.to_pandas_dtype()).kind


def _meaning(known: fields.Field | None) -> str:
    if known is None:
        return "a column of the dataset's own"
    return f"{known.meaning} ({known.unit})" if known.unit else known.meaning


def _variable(name: str) -> dict[str, Any]:
    return {"@type": "sc:PropertyValue", "name": name, "description": _meaning(fields.field(name))}
