"""Writes reference vectors of the exported model for the engine's tests: python golden.py OUTDIR

All are computed in float32 from the stored weights widened to float32. Small pictures (48x32) keep the
files small; nothing in the networks depends on the picture size.

autoencoder.safetensors
  pixels [8, 3, 32, 48] in -1..1: two chunks of four frames, fed one after the other from a fresh state
  latents [2, 16, 4, 6]: raw encoder output of the two chunks
  decoded [8, 3, 32, 48]: raw decoder output (not clipped) of those latents, streamed from a fresh state
prompt.safetensors (the texts are in the file's metadata as prompt0..prompt2)
  ids<i> [15, 12] i32, encoded<i> [16, textDim] after `position` is added, context<i> [16, dim] after text_embedding
dit.safetensors: one row, one denoising step for each of nine latent frames, streamed through the key/value ring
  noisy, clean [9, 16, 4, 6], timestep [9], context [16, dim] (of prompt0), x0 [9, 16, 4, 6]
  Frame i runs alone and attends the ring's frames and itself. The ring holds `kvFrames` frames including the
  running one; when it is full, the oldest frame after the `sinkFrames` first ones leaves. Keys are kept
  before RoPE; at each call the frames in the ring take the time positions 0, 1, 2, ... in order (the running
  frame is last). Row and column positions start at 0.
"""
import os
import sys

import torch
from safetensors.torch import save_file

from dit import Ring, tokenise
from export import load_models

PROMPTS = ["watercolour", "Turn this into a glowing NEON night, please!", "an unseen prompt: marble statue in a garden"]
HEIGHT, WIDTH, LATENTS = 32, 48, 9


def autoencoder_case(autoencoder, rng):
    y, x = torch.meshgrid(torch.linspace(-1, 1, HEIGHT), torch.linspace(-1, 1, WIDTH), indexing="ij")
    frames = torch.stack([torch.stack([torch.sin(3 * x + 0.3 * t), torch.cos(4 * y - 0.2 * t), x * y]) for t in range(8)])
    pixels = (0.8 * frames + 0.1 * torch.randn(frames.shape, generator=rng)).clamp(-1, 1)
    first, state = autoencoder.encode(pixels[None, :4])
    second, _ = autoencoder.encode(pixels[None, 4:], state)
    latents = torch.cat([first, second], 1)
    early, state = autoencoder.decode(latents[:, :1])
    late, _ = autoencoder.decode(latents[:, 1:], state)
    return dict(pixels=pixels, latents=latents[0], decoded=torch.cat([early, late], 1)[0])


def prompt_case(dit, spec):
    tensors = {}
    for i, text in enumerate(PROMPTS):
        ids = tokenise(text, spec["prompt"])
        tensors[f"ids{i}"] = ids.to(torch.int32)
        tensors[f"encoded{i}"] = dit.prompt(ids[None])[0]
        tensors[f"context{i}"] = dit.encode_prompt(ids[None])[0]
    return tensors


def dit_case(dit, spec, rng):
    size = (LATENTS, spec["dit"]["latentChannels"], HEIGHT // 8, WIDTH // 8)
    clean, noise = torch.randn(size, generator=rng), torch.randn(size, generator=rng)
    timestep = torch.tensor([700.0, 700, 640, 700, 660, 700, 700, 612.5, 700])
    sigma = (timestep / 1000).view(-1, 1, 1, 1)
    noisy = (1 - sigma) * spec["schedule"]["latentScale"] * clean + sigma * noise
    context = dit.encode_prompt(tokenise(PROMPTS[0], spec["prompt"])[None])
    ring = Ring(spec["dit"]["layers"], spec["schedule"]["kvFrames"], spec["schedule"]["sinkFrames"])
    out = []
    for i in range(LATENTS):
        attention = ring.attention(dit.head_dim, size[2] // 2, size[3] // 2)
        out.append(dit(noisy[None, i:i + 1], clean[None, i:i + 1], timestep[None, i:i + 1], context[:, None], attention)[0, 0])
    return dict(noisy=noisy, clean=clean, timestep=timestep, context=context[0], x0=torch.stack(out))


def main(folder):
    spec, autoencoder, dit = load_models()
    rng = torch.Generator().manual_seed(1)
    os.makedirs(folder, exist_ok=True)
    cases = dict(autoencoder=autoencoder_case(autoencoder, rng), prompt=prompt_case(dit, spec), dit=dit_case(dit, spec, rng))
    metadata = {"format": "pt", "model": f"{spec['name']} {spec['version']}", **{f"prompt{i}": text for i, text in enumerate(PROMPTS)}}
    for name, tensors in cases.items():
        path = os.path.join(folder, name + ".safetensors")
        save_file({key: value.contiguous() for key, value in tensors.items()}, path + ".tmp", metadata)
        os.replace(path + ".tmp", path)


if __name__ == "__main__":
    main(sys.argv[1])
