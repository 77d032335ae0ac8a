"""Trains the diffusion transformer on the latent bank. bf16 products where the processor has them, restartable.

python train_dit.py WORKDIR MINUTES [THREADS]   (1 thread if not said)   ->   WORKDIR/dit.pt (weights, moving average, optimisers, step, time)

Objective: x0 regression in unit-deviation latents, clean latent of the input always beside the noisy one.
  first step   input (1-s)*L*original + s*noise, t in 450..900 -> styled latent  (what the engine feeds)
  later step   input (1-s)*L*styled + s*noise, t in 150..600 -> styled latent; half of the time the styled
               input is the model's own first-step answer
One noise tensor for all latent frames of a clip, as in the engine. In part of the clips the prompt changes
in the middle; in a tenth the clean latent is zero, in a few the first latent comes from another clip.
In the last part of the time a pixel loss through the frozen decoder is added.
"""
import glob
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

from dit import CausalDit, block_causal_attention, rope_angles, tokenise
from export import read_spec
from latents import load_encoder
from muon import Muon
from captions import caption
from train_autoencoder import gradient_loss, save

BATCH, WARM_UP, SEED = 8, 60, 0
# Elsewhere bf16 products are several times slower than those of f32.
FAST_BF16 = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
ADAM_LR, MUON_LR, DECAY_SHARE, PIXEL_SHARE, PIXEL_WEIGHT = 1.4e-3, 0.02, 0.4, 0.35, 0.5
LATER, SWITCH, NO_CLEAN, FOREIGN_SINK, PHOTO = 0.25, 0.3, 0.1, 0.1, 0.15


class LatentBank:
    """All encoded shards, kept as float16; new ones are picked up as they appear."""

    def __init__(self, work, rng, prompt_spec):
        self.folder, self.rng, self.prompt_spec = os.path.join(work, "latents"), rng, prompt_spec
        self.shards = {}

    def refresh(self):
        for path in sorted(glob.glob(os.path.join(self.folder, "*.pt"))):
            if path not in self.shards:
                self.shards[path] = torch.load(path)
        if not self.shards:
            raise SystemExit("expected encoded clips in WORKDIR/latents, found none: run latents.py first")
        self.order = list(self.shards.values())

    def pick(self, shard, i):
        """One look of clip i: its latents and the tokens of a caption."""
        k = -1 if self.rng.rand() < PHOTO else self.rng.randint(len(shard["names"][i]))
        latents = shard["src"][i] if k < 0 else shard["sty"][i, k]
        return latents, tokenise(caption("photo" if k < 0 else shard["names"][i][k], self.rng), self.prompt_spec)

    def clip(self):
        """Source and target latents [f, 16, h, w], caption ids [f, words, grams]."""
        rng = self.rng
        shard = self.order[rng.randint(len(self.order))]
        i = rng.randint(len(shard["src"]))
        source = shard["src"][i].float()
        frames = len(source)
        target, ids = self.pick(shard, i)
        target, ids = target.float(), ids[None].repeat(frames, 1, 1)
        if rng.rand() < SWITCH:
            other, other_ids = self.pick(shard, i)
            cut = rng.randint(1, frames)
            target[cut:], ids[cut:] = other[cut:].float(), other_ids
        if rng.rand() < FOREIGN_SINK:
            j = rng.randint(len(shard["src"]))
            foreign, foreign_ids = self.pick(shard, j)
            source[0], target[0], ids[0] = shard["src"][j, 0].float(), foreign[0].float(), foreign_ids
        return source, target, ids

    def batch(self):
        return (torch.stack(t) for t in zip(*(self.clip() for _ in range(BATCH))))


def timesteps(rng, frames, low, high):
    """[BATCH, frames]: one t for a clip, in a quarter of the clips one for each latent frame."""
    t = rng.uniform(low, high, (BATCH, 1)).repeat(frames, 1)
    single = rng.rand(BATCH) < 0.25
    t[single] = rng.uniform(low, high, (single.sum(), frames))
    return torch.from_numpy(t).float()


def add_noise(latents, noise, t, scale):
    sigma = (t / 1000)[..., None, None, None]
    return (1 - sigma) * scale * latents + sigma * noise


def pixel_loss(decoder, prediction, target, rng):
    """L1 and gradients of one decoded latent frame of two clips of the batch."""
    rows, frame = rng.choice(len(target), 2, replace=False), rng.randint(target.shape[1])
    both = torch.cat([prediction[rows, frame], target[rows, frame]])[:, None]
    with torch.autocast("cpu", torch.bfloat16, enabled=FAST_BF16):
        pixels, _ = decoder.decode(decoder.denormalise(both))
    pixels = pixels.float()
    error = (pixels[:2] - pixels[2:]).flatten(0, 1) * 0.5
    return error.abs().mean() + 0.3 * gradient_loss(error)


class Trainer:
    def __init__(self, work, minutes, threads):
        torch.set_num_threads(threads)
        torch.manual_seed(SEED)
        self.rng, self.spec, self.work, self.minutes = np.random.RandomState(SEED), read_spec(), work, minutes
        self.model = CausalDit(self.spec["dit"], self.spec["prompt"])
        self.average = {key: value.clone() for key, value in self.model.state_dict().items()}
        matrices = [p for n, p in self.model.named_parameters() if n.startswith("blocks") and p.ndim == 2]
        chosen = {id(p) for p in matrices}
        others = [p for p in self.model.parameters() if id(p) not in chosen]
        self.adam = torch.optim.AdamW(others, ADAM_LR, betas=(0.9, 0.98), weight_decay=0.01)
        self.muon = Muon(matrices, MUON_LR)
        self.bank = LatentBank(work, self.rng, self.spec["prompt"])
        self.bank.refresh()
        self.decoder = load_encoder(work)
        self.step, self.before, self.rate = 0, 0.0, 1.0
        self.path = os.path.join(work, "dit.pt")
        if os.path.exists(self.path):
            self.resume()
        self.start = time.time() - self.before

    def resume(self):
        state = torch.load(self.path)
        self.model.load_state_dict(state["model"])
        if "adam" in state:  # not after resume.py
            self.adam.load_state_dict(state["adam"])
            self.muon.load_state_dict(state["muon"])
        self.rate = state.get("rate", 1.0)
        self.average, self.step, self.before = state["average"], state["step"], state["seconds"]

    def checkpoint(self):
        save(self.path, dict(model=self.model.state_dict(), average=self.average, adam=self.adam.state_dict(), muon=self.muon.state_dict(),
                             step=self.step, seconds=time.time() - self.start, rate=self.rate))
        final = os.path.join(self.work, "ae.pt")
        self.decoder.load_state_dict(torch.load(final)["model"])  # the decoder may have become better

    def predict(self, noisy, clean, t, ids):
        batch, frames, _, h, w = noisy.shape
        context = self.model.encode_prompt(ids.flatten(0, 1)).unflatten(0, (batch, frames))
        angles = rope_angles(self.model.head_dim, range(frames), h // 2, w // 2)
        with torch.autocast("cpu", torch.bfloat16, enabled=FAST_BF16):
            return self.model(noisy, clean, t, context, block_causal_attention(angles, h * w // 4)).float()

    def loss(self, share):
        """One batch: loss, plain MSE and the kind of batch."""
        source, target, ids = self.bank.batch()
        frames, scale = source.shape[1], self.spec["schedule"]["latentScale"]
        noise = torch.randn_like(source[:, :1]).expand_as(source)
        keep = (torch.rand(BATCH) >= NO_CLEAN).float().view(-1, 1, 1, 1, 1)
        clean = source * keep
        t, start, kind = timesteps(self.rng, frames, 450, 900), source, "first"
        if self.rng.rand() < LATER:
            start, kind = target, "later"
            if self.rng.rand() < 0.5:
                with torch.no_grad():
                    start = self.predict(add_noise(source, noise, t, scale), clean, t, ids)
            t = timesteps(self.rng, frames, 150, 600)
        x0 = self.predict(add_noise(start, noise, t, scale), clean, t, ids)
        error = x0 - target
        mse = (error ** 2).mean()
        loss = 0.5 * mse + 0.5 * error.abs().mean()
        if share > 1 - PIXEL_SHARE:
            loss = loss + PIXEL_WEIGHT * pixel_loss(self.decoder, x0, target, self.rng)
        return loss, mse.item(), kind

    def rates(self, share):
        factor = self.rate * min(1, (self.step + 1) / WARM_UP) * (0.97 * min(1, (1 - share) / DECAY_SHARE) + 0.03)
        for group in self.adam.param_groups:
            group["lr"] = ADAM_LR * factor
        for group in self.muon.param_groups:
            group["lr"] = MUON_LR * factor

    def run(self):
        running = {}
        while (share := (time.time() - self.start) / (self.minutes * 60)) < 1:
            self.rates(share)
            loss, mse, kind = self.loss(share)
            self.adam.zero_grad(set_to_none=True)
            self.muon.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.adam.step()
            self.muon.step()
            self.step += 1
            decay = min(0.995, self.step / (self.step + 20))
            with torch.no_grad():
                for key, value in self.model.state_dict().items():
                    self.average[key].lerp_(value, 1 - decay)
            running[kind] = 0.96 * running.get(kind, mse) + 0.04 * mse
            if self.step % 25 == 0:
                print(self.step, f"{time.time() - self.start:.0f}s loss {loss.item():.4f}", {k: round(v, 4) for k, v in running.items()}, flush=True)
            if self.step % 100 == 0:
                self.checkpoint()
                self.bank.refresh()
        self.checkpoint()
        print(f"done after {self.step} updates", flush=True)


if __name__ == "__main__":
    Trainer(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1).run()
