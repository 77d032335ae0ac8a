"""Fetches the freely licensed source pictures from Debian packages and stores them as one pickle.

python sources.py WORKDIR   ->   WORKDIR/photos.pkl (RGB uint8 images), WORKDIR/street.npy (frames)
The licences of every package are listed in the model card (../README.md).
"""
import fnmatch
import glob
import os
import pickle
import re
import subprocess
import sys
import zlib

import cv2
import numpy as np

PACKAGES = ["python3-skimage", "python-matplotlib-data", "gcompris-qt-data", "libjxl-testdata", "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "python3-sklearn", "lxqt-themes", "opencv-doc"]
PATTERNS = [
    *(f"python3-skimage/usr/lib/python3/dist-packages/skimage/data/{name}.*" for name in ("camera", "chelsea", "coffee", "rocket")),
    "libjxl-testdata/usr/share/libjxl-testdata/jxl/flower/flower.png",
    "libjxl-testdata/usr/share/libjxl-testdata/external/wesaturate/500px/*_srgb8.png",
    "lomiri-wallpapers-*/usr/share/backgrounds/**/*.jpg",
    "python3-sklearn/**/datasets/images/*.jpg",
    *(f"lxqt-themes/usr/share/lxqt/wallpapers/{name}.*" for name in (
        "beam", "flowers", "butterfly", "fog", "this-is-not-windows", "appleflower", "after-the-rain", "drop")),
]
FREE = ("public-domain", "CC0", "CC-BY")  # licences accepted file by file in gcompris-qt-data
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


def files_in_rcc(data):
    """(path, bytes) of every file of a Qt resource file."""
    number = lambda at, size=4: int.from_bytes(data[at:at + size], "big")
    version, tree, content, names = (number(4 * i) for i in (1, 2, 3, 4))
    node_size = 14 if version == 1 else 22

    def walk(index, folder):
        node = tree + node_size * index
        name_at = names + number(node)
        name = data[name_at + 6:name_at + 6 + 2 * number(name_at, 2)].decode("utf-16-be")
        path, flags = f"{folder}/{name}".strip("/"), number(node + 4, 2)
        if flags & 2:
            for child in range(number(node + 10), number(node + 10) + number(node + 6)):
                yield from walk(child, path)
            return
        start = content + number(node + 10)
        raw = data[start + 4:start + 4 + number(start)]
        yield path, zlib.decompress(raw[4:]) if flags & 1 else raw

    yield from walk(0, "")


def free_patterns(copyright_file):
    """Path patterns (without file extension) that a Debian copyright file puts under one of the FREE licences."""
    patterns = []
    for paragraph in open(copyright_file).read().split("\n\n"):
        match = re.match(r"Files:(.*?)\nCopyright:.*?\nLicense: *([^\n]*)", paragraph, re.S)
        if match and match.group(2).startswith(FREE):
            patterns += [os.path.splitext(name)[0] for name in match.group(1).split()]
    return patterns


def free_gcompris_pictures(packages):
    """Photographs of the educational game GCompris whose own licence is free (CC0, CC-BY, CC-BY-SA, public domain)."""
    root = os.path.join(packages, "gcompris-qt-data/usr/share")
    patterns = free_patterns(os.path.join(root, "doc/gcompris-qt-data/copyright"))
    for rcc in sorted(glob.glob(os.path.join(root, "gcompris-qt/rcc/*.rcc"))):
        for path, data in files_in_rcc(open(rcc, "rb").read()):
            stem = os.path.splitext(path[path.find("src/"):])[0]
            if path.endswith((".webp", ".jpg", ".png")) and "/lang/" not in path and any(fnmatch.fnmatchcase(stem, pattern) for pattern in patterns):
                yield path, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


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
    photos += [photo for _, image in free_gcompris_pictures(packages) if (photo := prepare(image)) is not None]
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
