"""Trains the autoencoder of model.json on the clip bank. One thread, restartable.

python train_autoencoder.py WORKDIR MINUTES   ->   WORKDIR/ae.pt (weights, optimiser, step, elapsed time)

The encoder learns during the first `ENCODER_SHARE` of the time and is frozen then (WORKDIR/encoder.pt, with
the latent statistics), so that the latents of the second model can be computed while the decoder goes on.
After resume.py the encoder stays as released, because the transformer lives in its latents: only the decoder learns.
"""
import glob
import json
import math
import os
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from autoencoder import Autoencoder

HERE = os.path.dirname(os.path.abspath(__file__))
BATCH, FRAMES, CROP_H, CROP_W = 4, 8, 80, 128
PEAK_LR, WARM_UP, ENCODER_SHARE, SEED = 2e-3, 50, 0.6, 0
# Clips that stand still, and the weight of changes from frame to frame: fine textures would flicker with the frame's place in its chunk.
STILL_SHARE, TEMPORAL_WEIGHT = 0.4, 1.5


class Bank:
    """Random crops from the newest-and-all shards; a small set stays in memory and is refreshed steadily."""

    def __init__(self, work, rng, resident=10):
        self.pattern, self.rng, self.resident = os.path.join(work, "bank", "clips_*.npz"), rng, resident
        self.shards = []

    def refresh(self):
        paths = sorted(glob.glob(self.pattern))
        if not paths:
            raise SystemExit("expected clips in WORKDIR/bank, found none: run clips.py first")
        with np.load(paths[self.rng.randint(len(paths))]) as data:
            self.shards = (self.shards + [(data["src"], data["sty"])])[-self.resident:]

    def crop(self):
        """One clip [FRAMES, CROP_H, CROP_W, 3]: half originals, half styled, STILL_SHARE of them frozen in time."""
        rng = self.rng
        src, sty = self.shards[rng.randint(len(self.shards))]
        i = rng.randint(len(src))
        clip = src[i] if rng.rand() < 0.5 else sty[i, rng.randint(sty.shape[1])]
        t = rng.randint(clip.shape[0] - FRAMES + 1)
        y, x = 8 * rng.randint((clip.shape[1] - CROP_H) // 8 + 1), 8 * rng.randint((clip.shape[2] - CROP_W) // 8 + 1)
        clip = clip[t:t + FRAMES, y:y + CROP_H, x:x + CROP_W]
        if rng.rand() < STILL_SHARE:
            clip = np.repeat(clip[:1], FRAMES, 0)
        return clip[:, :, ::-1] if rng.rand() < 0.5 else clip

    def batch(self):
        """[BATCH, FRAMES, 3, CROP_H, CROP_W] in -1..1"""
        clips = np.ascontiguousarray(np.stack([self.crop() for _ in range(BATCH)]))
        return torch.from_numpy(clips).permute(0, 1, 4, 2, 3).float() / 127.5 - 1


def random_features():
    """A fixed orthogonal convolution stack: compares textures a little beyond single pixels."""
    net = nn.Sequential(nn.Conv2d(3, 24, 5, 2, 2), nn.ReLU(), nn.Conv2d(24, 48, 3, 2, 1), nn.ReLU(), nn.Conv2d(48, 64, 3, 2, 1))
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            nn.init.orthogonal_(layer.weight)
            layer.weight.data -= 0.7 * layer.weight.data.mean((2, 3), keepdim=True)
    return net.requires_grad_(False).to(memory_format=torch.channels_last)


def gradient_loss(error):
    """L1 of the finite differences of the error at three scales. error [N, 3, h, w]."""
    total = 0
    for level in range(3):
        total = total + (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        if level < 2:
            error = F.avg_pool2d(error, 2)
    return total


def reconstruction_loss(y, x, features, ramp):
    """y, x [B, T, 3, h, w] in 0..1. `ramp` 0..1 brings in the gradient, temporal and feature terms: present
    from the start they hold the output at flat grey. Returns the loss and the plain L1."""
    error = y - x
    l1 = error.abs().mean()
    temporal = (error[:, 1:] - error[:, :-1]).abs().mean()
    frame = int(torch.randint(0, x.shape[1], (1,)))
    textures = (features(y[:, frame] * 2 - 1) - features(x[:, frame] * 2 - 1)).abs().mean()
    loss = l1 + 2 * (1.2 - ramp) * (error ** 2).mean()
    return loss + ramp * (0.5 * gradient_loss(error.flatten(0, 1)) + TEMPORAL_WEIGHT * temporal + 0.25 * textures), l1


@torch.no_grad()
def latent_statistics(model, bank, batches=40):
    """Mean and standard deviation of every latent channel over the bank."""
    z = torch.cat([model.encode(bank.batch())[0] for _ in range(batches)])
    return z.mean((0, 1, 3, 4)).tolist(), z.std((0, 1, 3, 4)).tolist()


def save(path, data):
    torch.save(data, path + ".tmp")
    os.replace(path + ".tmp", path)


def main(work, minutes):
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    rng = np.random.RandomState(SEED)
    with open(os.path.join(HERE, "..", "model.json")) as file:
        model = Autoencoder(json.load(file)["autoencoder"]).initialise().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), PEAK_LR, betas=(0.9, 0.98), weight_decay=1e-3)
    features, bank = random_features(), Bank(work, rng)
    path, step, before, scale, encoder_share = os.path.join(work, "ae.pt"), 0, 0.0, 1.0, ENCODER_SHARE
    if os.path.exists(path):
        state = torch.load(path)
        model.load_state_dict(state["model"])
        if "optimiser" in state:
            optimiser.load_state_dict(state["optimiser"])
        step, before, scale = state["step"], state["seconds"], state.get("rate", 1.0)
        encoder_share = state.get("encoder_share", ENCODER_SHARE)
    first, start, mean_l1, frozen = step, time.time() - before, None, False

    def checkpoint():
        save(path, dict(model=model.state_dict(), optimiser=optimiser.state_dict(), step=step, seconds=time.time() - start,
                        rate=scale, encoder_share=encoder_share))

    while True:
        share = (time.time() - start) / (minutes * 60)
        if share >= 1:
            break
        if share >= encoder_share and not frozen:
            frozen = True
            model.encoder.requires_grad_(False)
            bank.refresh()
            mean, std = latent_statistics(model, bank)
            if not os.path.exists(os.path.join(work, "encoder.pt")):
                save(os.path.join(work, "encoder.pt"), dict(model=model.state_dict(), mean=mean, std=std, step=step))
            print(f"{step} encoder frozen, latent std {[round(s, 2) for s in std]}", flush=True)
        if step % 25 == 0 or not bank.shards:
            bank.refresh()
        rate = scale * PEAK_LR * min(1, (step - first + 1) / WARM_UP) * (0.49 * (1 + math.cos(math.pi * share)) + 0.02)
        for group in optimiser.param_groups:
            group["lr"] = rate
        x = bank.batch()
        z, _ = model.encode(x)
        y, _ = model.decode(z + torch.randn_like(z) * (0.15 * torch.rand(BATCH, 1, 1, 1, 1)))
        loss, l1 = reconstruction_loss(y * 0.5 + 0.5, x * 0.5 + 0.5, features, min(1.0, max(0.0, (step - 150) / 300)))
        loss = loss + 1e-3 * (z ** 2).mean() + 1e-2 * F.relu(z.abs() - 5).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        mean_l1 = l1.item() if mean_l1 is None else 0.98 * mean_l1 + 0.02 * l1.item()
        if step % 50 == 0 or step == 10:
            print(f"{step} {time.time() - start:.0f}s l1 {mean_l1:.4f} loss {loss.item():.4f} lr {rate:.1e}", flush=True)
        if step % 250 == 0:
            checkpoint()
    checkpoint()
    print(f"done after {step} updates", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
