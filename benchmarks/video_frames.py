"""How long the images of a sequence at the end of a video take: from the key frame before it, against from the start.

    PYTHONPATH=. python benchmarks/video_frames.py [--minutes 10] [--folder /some/disk]

The video is made up: noise that moves, 640 x 360, 25 frames a second, H.264 with a key frame every 5 s. Cut are the
last 10 s at 30 frames a second, as JPEG; both ways must give the same files. Of several runs in turn the fastest
counts.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

from ehps.converters.readers import videos

RATE, CUT_RATE, KEY_EVERY, SECONDS = 25, 30, 125, 10
HEIGHT, WIDTH = 360, 640
REPEATS = 3
WAYS = {"from the key frame": videos.SEEK_FROM, "from the start": math.inf}


def write_video(path: Path, minutes: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    images = [np.roll(noise, 3 * k, axis=1) for k in range(50)]
    with av.open(str(path), "w") as video:
        stream: Any = video.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "g": str(KEY_EVERY)})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for k in range(round(60 * minutes * RATE)):
            video.mux(stream.encode(av.VideoFrame.from_ndarray(images[k % len(images)], format="rgb24")))
        video.mux(stream.encode())


def cut(video: Path, folder: Path, minutes: float, seek_from: float) -> tuple[float, dict[str, bytes]]:
    """Seconds that the last sequence of the video takes, and its files."""
    last = round(60 * minutes * CUT_RATE)
    names = [f"{k:06d}.jpg" for k in range(last - SECONDS * CUT_RATE, last)]
    videos.SEEK_FROM = seek_from  # type: ignore[assignment]
    begin = time.perf_counter()
    videos.extract(video, names, folder, fps=CUT_RATE)
    return time.perf_counter() - begin, {path.name: path.read_bytes() for path in folder.iterdir()}


def report(folder: Path, minutes: float) -> None:
    video = folder / "video.mp4"
    write_video(video, minutes)
    print(f"the last {SECONDS} s of a video of {minutes:g} minutes ({video.stat().st_size / 1e6:.0f} MB)")
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    files: list[dict[str, bytes]] = []
    for number in range(REPEATS):
        for way, seek_from in WAYS.items():
            spent, found = cut(video, folder / f"{way} {number}", minutes, seek_from)
            seconds[way].append(spent)
            files.append(found)
    if any(found != files[0] for found in files) or len(files[0]) != SECONDS * CUT_RATE:
        raise SystemExit("the two ways do not give the same images")
    for way, spent in seconds.items():
        print(f"{way:20}{min(spent):10.2f} s")
    short, long = (min(spent) for spent in seconds.values())
    print(f"{'ratio':20}{long / short:10.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="length of the video")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ehps-benchmark-", dir=given.folder) as folder:
        report(Path(folder), given.minutes)


if __name__ == "__main__":
    main()
