"""Encodes the clip bank with the frozen encoder: python latents.py WORKDIR FIRST_SHARD [PATIENCE_S]

Runs until the bank stops growing for ten minutes, or for so many seconds. WORKDIR/latents/<shard>.pt holds, as float16 in unit deviation,
  src [N, f, 16, h, w], sty [N, K, f, 16, h, w] and names [N][K].
"""
import glob
import os
import sys
import time

import numpy as np
import torch

from autoencoder import Autoencoder
from export import read_spec

PATIENCE_S = 600


def load_encoder(work):
    """The network with the frozen encoder and its latent statistics."""
    state = torch.load(os.path.join(work, "encoder.pt"))
    spec = dict(read_spec()["autoencoder"], latentMean=state["mean"], latentStd=state["std"])
    model = Autoencoder(spec)
    model.load_state_dict(state["model"])
    return model.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def encode(model, clips):
    """uint8 [..., T, H, W, 3] -> unit-deviation latents [..., T/4, 16, h, w] in float16"""
    lead = clips.shape[:-4]
    out = []
    for clip in clips.reshape(-1, *clips.shape[-4:]):
        pixels = torch.from_numpy(clip).permute(0, 3, 1, 2)[None].float() / 127.5 - 1
        out.append(model.normalise(model.encode(pixels)[0])[0].half())
    out = torch.stack(out)
    return out.view(*lead, *out.shape[1:])


def main(work, first, patience_s=PATIENCE_S):
    torch.set_num_threads(1)
    model = load_encoder(work)
    folder = os.path.join(work, "latents")
    os.makedirs(folder, exist_ok=True)
    last_new = time.time()
    while time.time() - last_new < patience_s:
        for path in sorted(glob.glob(os.path.join(work, "bank", "clips_*.npz"))):
            number = int(path[-8:-4])
            target = os.path.join(folder, f"{number:04d}.pt")
            if number < first or os.path.exists(target):
                continue
            with np.load(path) as data:
                shard = dict(src=encode(model, data["src"]), sty=encode(model, data["sty"]), names=data["names"].tolist())
            torch.save(shard, target + ".tmp")
            os.replace(target + ".tmp", target)
            last_new = time.time()
            print(target, flush=True)
        time.sleep(5)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *map(float, sys.argv[3:4]))
