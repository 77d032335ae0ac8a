"""Clip sampler: 16-frame source clips of photographs in motion, street video and procedural people.

python clips.py WORKDIR FIRST LAST   writes WORKDIR/bank/clips_<n>.npz for n in FIRST..LAST-1, each with
  src [N, T, H, W, 3] uint8, sty [N, K, T, H, W, 3] uint8, names [N, K] (style names, see styles.py)
Every shard is seeded by its number, so the bank can be made in any order and by several processes.
"""
import os
import pickle
import sys

import cv2
import numpy as np

from people import H, W, person_clip
from styles import LOOKS, apply

FRAMES, PER_SHARD, STYLED = 16, 12, 3
PORTRAIT_SHARE = 0.1
LOOK_SHARES = np.array([0.4 if "+" in look else 1.0 for look in LOOKS])
LOOK_SHARES /= LOOK_SHARES.sum()


def pan_and_zoom(rng, image, frames, amount=1.0):
    """A camera move (pan, zoom, rotation, hand shake, exposure) over a still -> [frames, H, W, 3] uint8."""
    h, w = image.shape[:2]
    cover = max(W / w, H / h)
    zoom = cover * rng.uniform(1.05, 2.0)
    zoom_rate = np.exp(rng.randn() * 0.05 * amount)
    turn = rng.randn() * 2 * amount
    room = np.array([max(0, w - W / zoom), max(0, h - H / zoom)])
    centre = np.array([w, h]) / 2 + (rng.rand(2) - 0.5) * room
    speed = rng.randn(2) * rng.choice([0, 8, 30]) * amount / zoom
    shake = np.cumsum(rng.randn(frames, 2) * 0.3 * rng.choice([0, 1, 2]), 0) * amount
    gain, offset, mirror = rng.uniform(0.75, 1.2), rng.uniform(-15, 15), rng.rand() < 0.5
    out = []
    for t in range(frames):
        u = t / max(1, frames - 1)
        z = zoom * zoom_rate ** u
        angle = np.deg2rad(turn * u)
        c = centre + speed * u + shake[t] / z
        ca, sa = np.cos(angle) * z, np.sin(angle) * z
        matrix = np.array([[ca, -sa, W / 2 - ca * c[0] + sa * c[1]], [sa, ca, H / 2 - sa * c[0] - ca * c[1]]])
        out.append(cv2.warpAffine(image, matrix, (W, H), flags=cv2.INTER_AREA if z < 1 else cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    clip = np.stack(out)[:, :, ::-1] if mirror else np.stack(out)
    return np.clip(clip.astype(np.float32) * gain + offset, 0, 255).astype(np.uint8)


def plain_room(rng):
    """A wall with soft light, a few frames, shelves and a lamp: the background of many webcams."""
    y, x = np.mgrid[0:300, 0:520].astype(np.float32)
    wall = rng.uniform(60, 235) + rng.randn(3) * 14
    light = 1 + rng.uniform(0.05, 0.3) * np.cos((x / 520 - rng.rand()) * 3) * np.cos((y / 300 - rng.rand()) * 2)
    image = np.clip(wall * light[..., None], 0, 255).astype(np.uint8)
    for _ in range(rng.randint(0, 7)):
        x0, y0 = rng.randint(0, 500), rng.randint(0, 250)
        x1, y1 = x0 + rng.randint(20, 160), y0 + rng.randint(20, 140)
        colour = tuple(int(v) for v in rng.randint(20, 240, 3))
        cv2.rectangle(image, (x0, y0), (x1, y1), colour, -1)
        cv2.rectangle(image, (x0, y0), (x1, y1), tuple(int(v * 0.5) for v in colour), int(rng.randint(1, 6)))
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 3))


class Sampler:
    """Draws source clips; `work` holds what sources.py made."""

    def __init__(self, work):
        with open(os.path.join(work, "photos.pkl"), "rb") as file:
            pictures = pickle.load(file)
        self.photos, self.portraits = pictures["photos"], pictures["portraits"]
        self.street = np.load(os.path.join(work, "street.npy"), mmap_mode="r")

    def photo(self, rng, amount=None):
        pool = self.portraits if rng.rand() < PORTRAIT_SHARE else self.photos
        image = pool[rng.randint(len(pool))]
        return pan_and_zoom(rng, image, FRAMES, rng.choice([0.0, 0.5, 1.0]) if amount is None else amount)

    def street_crop(self, rng):
        start = rng.randint(len(self.street) - FRAMES)
        width = int(512 / rng.uniform(1.0, 2.2))
        height = width * 9 // 16
        x, y = rng.randint(512 - width + 1), rng.randint(384 - height + 1)
        clip = self.street[start:start + FRAMES, y:y + height, x:x + width]
        return np.stack([cv2.resize(f, (W, H), interpolation=cv2.INTER_LINEAR) for f in clip])

    def person(self, rng):
        if rng.rand() < 0.55:
            background = np.repeat(self.photo(rng, 0.0)[:1], FRAMES, 0)
        else:
            background = pan_and_zoom(rng, plain_room(rng), FRAMES, rng.choice([0.0, 0.0, 0.5]))
        blur = rng.choice([0.0, 1.0, 2.5])
        if blur:
            background = np.stack([cv2.GaussianBlur(f, (0, 0), blur) for f in background])
        return person_clip(rng, background, FRAMES)

    def clip(self, rng):
        """uint8 [FRAMES, H, W, 3]"""
        u = rng.rand()
        return self.person(rng) if u < 0.45 else self.photo(rng) if u < 0.9 else self.street_crop(rng)


def make_shard(sampler, number):
    """The sources of one shard and STYLED random styles of each."""
    rng = np.random.RandomState(1000 + number)
    src = np.stack([sampler.clip(rng) for _ in range(PER_SHARD)])
    picks = np.array([rng.choice(LOOKS, STYLED, replace=False, p=LOOK_SHARES) for _ in range(PER_SHARD)])
    sty = np.stack([np.stack([np.stack([apply(n, f) for f in clip]) for n in row]) for clip, row in zip(src, picks)])
    return src, sty, picks


def main(work, first, last):
    cv2.setNumThreads(1)
    sampler = Sampler(work)
    os.makedirs(os.path.join(work, "bank"), exist_ok=True)
    for number in range(first, last):
        path = os.path.join(work, "bank", f"clips_{number:04d}.npz")
        if os.path.exists(path):
            continue
        src, sty, names = make_shard(sampler, number)
        with open(path + ".tmp", "wb") as file:
            np.savez(file, src=src, sty=sty, names=names)
        os.replace(path + ".tmp", path)
        print(path, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
