"""Fetches the freely licensed source pictures from Debian packages and stores them as one pickle.

python sources.py WORKDIR   ->   WORKDIR/photos.pkl (RGB uint8 images), WORKDIR/street.npy (frames)
The licences of every package are listed in the model card (../README.md).
"""
import glob
import os
import pickle
import re
import subprocess
import sys

import cv2
import numpy as np

PACKAGES = [
    "python3-skimage", "python-matplotlib-data", "gcompris-qt-data", "libjxl-testdata", "mate-backgrounds",
    "lomiri-wallpapers", "plasma-workspace-wallpapers", "lxqt-themes", "opencv-doc",
]
PATTERNS = [
    "python3-skimage/usr/lib/python3/dist-packages/skimage/data/*",
    "libjxl-testdata/usr/share/libjxl-testdata/jxl/flower/*",
    "libjxl-testdata/usr/share/libjxl-testdata/external/wesaturate/500px/*",
    "mate-backgrounds/usr/share/backgrounds/mate/nature/*",
    "lomiri-wallpapers/usr/share/backgrounds/*",
    "plasma-workspace-wallpapers/usr/share/wallpapers/*/contents/images/*",
    "lxqt-themes/usr/share/lxqt/wallpapers/*",
]
PORTRAITS = ["python-matplotlib-data/**/grace_hopper.jpg"]
HELD_OUT = ("astronaut",)  # used by evaluate.py only
MIN_SIDE, MIN_CONTRAST, WORK_SIZE = 150, 18, (520, 300)


def fetch(package, folder):
    """Downloads and unpacks one Debian package into folder/package (once)."""
    target = os.path.join(folder, package)
    if os.path.isdir(target):
        return
    subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True)
    (deb,) = glob.glob(os.path.join(folder, package + "_*.deb"))
    os.makedirs(target)
    subprocess.run(["dpkg", "-x", deb, target], check=True)
    os.remove(deb)


def pictures_in_rcc(path):
    """WebP pictures stored uncompressed inside a Qt resource file."""
    data = open(path, "rb").read()
    for match in re.finditer(rb"RIFF....WEBP", data, re.S):
        size = int.from_bytes(data[match.start() + 4:match.start() + 8], "little") + 8
        yield np.frombuffer(data[match.start():match.start() + size], np.uint8)


def prepare(image):
    """BGR image or None -> RGB image of a working size, or None when it is no usable photograph."""
    if image is None or min(image.shape[:2]) < MIN_SIDE or image.reshape(-1, 3).std(0).mean() < MIN_CONTRAST:
        return None
    scale = max(WORK_SIZE[0] / image.shape[1], WORK_SIZE[1] / image.shape[0])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_all(packages, patterns):
    """All usable pictures of the patterns, without the held-out ones."""
    paths = [p for pattern in patterns for p in sorted(glob.glob(os.path.join(packages, pattern), recursive=True))]
    images = [prepare(cv2.imread(p, cv2.IMREAD_COLOR)) for p in paths if not any(name in p for name in HELD_OUT)]
    return [image for image in images if image is not None]


def main(work):
    packages = os.path.join(work, "packages")
    os.makedirs(packages, exist_ok=True)
    for package in PACKAGES:
        fetch(package, packages)
    portraits = read_all(packages, PORTRAITS)
    photos = read_all(packages, PATTERNS)
    for path in sorted(glob.glob(os.path.join(packages, "gcompris-qt-data/**/*.rcc"), recursive=True)):
        photos += [prepare(cv2.imdecode(data, cv2.IMREAD_COLOR)) for data in pictures_in_rcc(path)]
    photos = [photo for photo in photos if photo is not None]
    with open(os.path.join(work, "photos.pkl"), "wb") as file:
        pickle.dump({"photos": photos, "portraits": portraits}, file)
    (video,) = glob.glob(os.path.join(packages, "opencv-doc/**/vtest.avi"), recursive=True)
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", video, "-vf", "fps=16,scale=512:384:flags=area", "-frames:v", "600",
                          "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], stdout=subprocess.PIPE, check=True).stdout
    street = np.frombuffer(raw, np.uint8).reshape(-1, 384, 512, 3)
    np.save(os.path.join(work, "street.npy"), street)
    print(f"{len(photos)} photographs, {len(portraits)} portraits, {len(street)} street frames")


if __name__ == "__main__":
    main(sys.argv[1])
