"""Writing the forms of other programs: many rows at once against one row at a time, in the same bytes of labels.

    PYTHONPATH=. python benchmarks/exchange.py [--n 100000] [--folder /some/disk]

People are generated, three an image; images are small JPEG files. One row at a time is what the scripts of this field
do: values are appended to a list a column, which ``np.savez`` takes (npz); a ``tarfile`` member with ``pickle.dumps``
of an image's people (tars), and the same with the ``webdataset`` package's writer. Tars are measured
with the images and, as the images are read in the same way by all, with the labels alone; so is reading the images and
no more. Times are the processor's, of the system's calls too: what a disk takes is not in them.
"""

from __future__ import annotations

import argparse
import io
import pickle
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ehps.exchange import flat_npz, hmr_tar_files
from ehps.exchange.forms import Sources
from ehps.humandata.core import HumanData
from tests.exchange.people import smpl_people

PEOPLE_AN_IMAGE = 3


def npz_by_rows(hd: HumanData, out: Path) -> None:
    names = ("imgname", "center", "scale", "pose_cam", "shape", "trans_cam", "cam_int", "gtkps")
    lists: dict[str, list[object]] = {name: [] for name in names}
    for i in range(len(hd)):
        x, y, w, h, _ = hd["bbox_xywh"][i]
        matrix = np.eye(3, dtype=np.float32)
        matrix[[0, 1], [0, 1]] = hd["meta/focal_length"][i]
        matrix[:2, 2] = hd["meta/principal_point"][i]
        lists["imgname"].append(hd["image_path"][i])
        lists["center"].append([x + w / 2, y + h / 2])
        lists["scale"].append(max(w, h) / 200)
        lists["pose_cam"].append(np.concatenate([hd["smpl/global_orient"][i], hd["smpl/body_pose"][i].ravel()]))
        lists["shape"].append(hd["smpl/betas"][i])
        lists["trans_cam"].append(hd["smpl/transl"][i])
        lists["cam_int"].append(matrix)
        lists["gtkps"].append(hd["keypoints2d_original"][i])
    np.savez(out, **lists)


def people_by_rows(hd: HumanData) -> dict[str, list[dict[str, object]]]:
    images: dict[str, list[dict[str, object]]] = {}
    for i in range(len(hd)):
        x, y, w, h, _ = (float(v) for v in hd["bbox_xywh"][i])
        person = {
            "keypoints_2d": hd["keypoints2d_original"][i],
            "keypoints_3d": hd["keypoints3d_original"][i],
            "center": np.array([x + w / 2, y + h / 2], np.float32),
            "scale": np.array([w, h], np.float32) / 200,
            "body_pose": np.concatenate([hd["smpl/global_orient"][i], hd["smpl/body_pose"][i].ravel()]),
            "has_body_pose": np.array(1, np.float32),
            "betas": hd["smpl/betas"][i],
            "has_betas": np.array(1, np.float32),
            "personid": 0,
            "extra_info": {"image_path": hd["image_path"][i]},
        }
        images.setdefault(hd["image_path"][i], []).append(person)
    return images


def tars_by_rows(hd: HumanData, out: Path, images: Path) -> None:
    out.mkdir()
    with tarfile.open(out / "000000.tar", "w") as tar:
        for path, people in people_by_rows(hd).items():
            key = path.rpartition(".")[0].replace(".", "_")
            for name, content in (
                (f"{key}.jpg", (images / path).read_bytes()),
                (f"{key}.data.pyd", pickle.dumps(people)),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def tars_by_webdataset(hd: HumanData, out: Path, images: Path) -> None:
    import webdataset

    out.mkdir()
    with webdataset.TarWriter(str(out / "000000.tar")) as tar:
        for path, people in people_by_rows(hd).items():
            key = path.rpartition(".")[0].replace(".", "_")
            tar.write({"__key__": key, "jpg": (images / path).read_bytes(), "data.pyd": pickle.dumps(people)})


def labels_by_rows(hd: HumanData) -> None:
    for people in people_by_rows(hd).values():
        content = pickle.dumps(people)
        member = tarfile.TarInfo("key.data.pyd")
        member.size = len(content)
        member.tobuf()


def labels_at_once(hd: HumanData) -> None:
    for _, paths, labels in hmr_tar_files.labels_of_images(hd):
        hmr_tar_files.headers(paths, [len(fixed) + len(rest) for fixed, rest in labels])


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100_000, help="rows")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        made = smpl_people(options.n)
        paths = [f"images/{k // 10_000:04d}/{k:06d}.jpg" for k in range(-(-options.n // PEOPLE_AN_IMAGE))]
        made = made.with_columns({"image_path": [paths[k // PEOPLE_AN_IMAGE] for k in range(options.n)]})
        hd = HumanData.open(made.save(folder / "people.h5"))
        image = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(image)
        sources = Sources(images=folder)
        report(
            "flat npz",
            seconds(lambda: npz_by_rows(hd, folder / "a.npz")),
            seconds(lambda: flat_npz.write_camerahmr(hd, folder / "b.npz", sources)),
        )
        ours = seconds(lambda: hmr_tar_files.write(hd, folder / "ours", sources))
        report("tars", seconds(lambda: tars_by_rows(hd, folder / "rows", folder)), ours)
        report("tars (webdataset's writer)", seconds(lambda: tars_by_webdataset(hd, folder / "wds", folder)), ours)
        print(f"images read alone: {seconds(lambda: [(folder / path).read_bytes() for path in paths]):.2f} s")
        report("tars, labels alone", seconds(lambda: labels_by_rows(hd)), seconds(lambda: labels_at_once(hd)))


def report(what: str, by_rows: float, at_once: float) -> None:
    print(f"{what}: {by_rows:.2f} s by rows, {at_once:.2f} s at once: {by_rows / at_once:.1f}x", flush=True)


if __name__ == "__main__":
    main()
