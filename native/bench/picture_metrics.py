"""What `npm run bench -- quality` leaves to OpenCV: warp error, and whether a look is the one asked for.

    pip install numpy opencv-python-headless
    python3 native/bench/picture_metrics.py FOLDER

FOLDER holds what `driftless-bench restyle --frames FOLDER` wrote, input.rgb and 0.rgb, 1.rgb, ..., and meta.json
{width, height, looks: [name or null]}. Prints one line of JSON: {looks: [{warpError, inputWarpError, followed}]}.

warpError: successive output frames, the earlier one moved along the input's optical flow (DIS, Kroeger et al. 2016),
mean absolute difference of 255 where the flow agrees with the flow back; inputWarpError is that of the input itself.
followed: share of frames whose statistics (mean and deviation of Lab, gradients, saturation) are nearest to those of
the procedural look of that name applied to the same frame, among all looks of the training; null without a name.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "drift-nano" / "training"))
from styles import apply  # noqa: E402

FLOW_AGREES = 1.0  # pixels
EVERY = 8  # frames between those whose statistics are compared


def read(path, meta):
    return np.fromfile(path, np.uint8).reshape(-1, meta["height"], meta["width"], 3)


def grey(frame):
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def flows(frames):
    """For each pair of successive frames: where each pixel was before, and whether that can be trusted."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = frames.shape[1:3]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pairs = []
    for before, after in zip(frames, frames[1:]):
        back = dis.calc(grey(after), grey(before), None)
        forth = dis.calc(grey(before), grey(after), None)
        at_x, at_y = x + back[..., 0], y + back[..., 1]
        returned = back + cv2.remap(forth, at_x, at_y, cv2.INTER_LINEAR, borderValue=(99, 99))
        pairs.append((at_x, at_y, np.hypot(returned[..., 0], returned[..., 1]) < FLOW_AGREES))
    return pairs


def warp_error(frames, pairs):
    errors = []
    for before, after, (x, y, trusted) in zip(frames, frames[1:], pairs):
        moved = cv2.remap(before, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        errors.append(np.abs(moved.astype(np.float32) - after)[trusted].mean())
    return float(np.mean(errors))


def statistics(frame):
    lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB).astype(np.float32)
    saturation = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)[..., 1].astype(np.float32)
    g = grey(frame).astype(np.float32)
    gradient = np.hypot(cv2.Sobel(g, cv2.CV_32F, 1, 0), cv2.Sobel(g, cv2.CV_32F, 0, 1))
    values = [*lab.mean((0, 1)), *lab.std((0, 1)), saturation.mean(), saturation.std(), gradient.mean(), gradient.std()]
    return np.array(values)


def followed(name, frames, output, names):
    """Share of frames whose nearest look is `name`."""
    hits = []
    for frame, out in zip(frames[EVERY::EVERY], output[EVERY::EVERY]):
        looks = np.stack([statistics(apply(each, frame)) for each in names])
        scale = looks.std(0) + 1e-6
        distance = np.abs((looks - statistics(out)) / scale).mean(1)
        hits.append(names[int(distance.argmin())] == name)
    return float(np.mean(hits))


def main():
    folder = Path(sys.argv[1])
    meta = json.loads((folder / "meta.json").read_text())
    frames = read(folder / "input.rgb", meta)
    pairs = flows(frames)
    base = warp_error(frames, pairs)
    names = sorted({name for name in meta["looks"] if name})
    looks = []
    for index, name in enumerate(meta["looks"]):
        output = read(folder / f"{index}.rgb", meta)
        share = followed(name, frames, output, names) if name else None
        looks.append({"warpError": warp_error(output, pairs), "inputWarpError": base, "followed": share})
    print(json.dumps({"looks": looks}))


if __name__ == "__main__":
    main()
