"""Causal video diffusion transformer with the Wan block, and its small prompt encoder.

Latents are [B, f, C, h, w]; one latent frame is (h/2)*(w/2) tokens. Per block: self-attention with 3-D RoPE,
cross-attention to the prompt, feed-forward; shift/scale/gate come from the timestep of each latent frame.
The network sees the noisy latent and the clean one (after it in the channels) and predicts the restyled
latent x0 in unit-deviation space. Parameter names are those of Wan, plus `prompt.*`.
"""
import re
import zlib

import torch
import torch.nn as nn
import torch.nn.functional as F


def replace_aliases(words, aliases):
    """The longest run of up to three words that is a key of `aliases` is read as its value, from left to right."""
    replaced = []
    while words:
        count = next((n for n in (3, 2, 1) if n <= len(words) and " ".join(words[:n]) in aliases), 0)
        replaced += re.findall(r"[a-z0-9]+", aliases[" ".join(words[:count])]) if count else words[:1]
        words = words[max(1, count):]
    return replaced


def tokenise(text, spec):
    """Words and their 3-grams -> hashed ids [length-1, ngrams]; 0 = empty. spec: model.json "prompt"."""
    ids = torch.zeros(spec["length"] - 1, spec["ngrams"], dtype=torch.long)
    for i, word in enumerate(replace_aliases(re.findall(r"[a-z0-9]+", text.lower()), spec.get("aliases", {}))[: spec["length"] - 1]):
        padded = f"<{word}>"
        grams = [padded] + [padded[j:j + 3] for j in range(len(padded) - 2)]
        for j, gram in enumerate(grams[: spec["ngrams"]]):
            ids[i, j] = 1 + zlib.crc32(gram.encode()) % (spec["buckets"] - 1)
    return ids


class PromptEncoder(nn.Module):
    """Token 0 is the pooled sentence, tokens 1.. are the words, each the mean of its hashed n-grams."""

    def __init__(self, spec):
        super().__init__()
        self.embedding = nn.Embedding(spec["buckets"], spec["dim"])
        nn.init.normal_(self.embedding.weight, std=0.5)
        self.pool = nn.Sequential(nn.Linear(spec["dim"], spec["dim"]), nn.GELU("tanh"), nn.Linear(spec["dim"], spec["dim"]))
        self.position = nn.Parameter(torch.randn(spec["length"], spec["dim"]) * 0.05)

    def forward(self, ids):
        """ids [B, length-1, ngrams] -> [B, length, dim]"""
        used = (ids > 0).float()[..., None]
        words = (self.embedding(ids) * used).sum(2) / used.sum(2).clamp(min=1)
        present = (used.sum(2) > 0).float()
        sentence = (words * present).sum(1) / present.sum(1).clamp(min=1)
        return torch.cat([self.pool(sentence)[:, None], words], 1) + self.position


def rope_angles(head_dim, positions, height, width):
    """Angles [f*height*width, head_dim/2] of the Wan split: time, row, column. positions: f numbers."""
    pairs = head_dim // 2
    space = pairs // 3
    counts = (pairs - 2 * space, space, space)
    grids = torch.meshgrid(torch.as_tensor(positions).float(), torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    angles = [g[..., None] * 10000.0 ** (-torch.arange(n).float() / n) for g, n in zip(grids, counts)]
    return torch.cat(angles, -1).flatten(0, 2)


def rotate(x, angles):
    """RoPE on adjacent pairs. x [B, L, heads, head_dim], angles [L, head_dim/2]."""
    turns = torch.polar(torch.ones_like(angles), angles)[:, None]
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turns).flatten(-2)


def attend(q, k, v):
    """Plain softmax attention on [B, L, heads, d]: on CPUs its backward pass is faster than the fused one."""
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    weights = torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2), -1)
    return (weights @ v).transpose(1, 2).flatten(2)


class RmsNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, x):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.weight


class Attention(nn.Module):
    def __init__(self, dim, heads, eps):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RmsNorm(dim, eps), RmsNorm(dim, eps)

    def project(self, x, context):
        """Normalised queries of x, keys and values of context, split into heads (before RoPE)."""
        split = lambda t: t.unflatten(-1, (self.heads, -1))
        return split(self.norm_q(self.q(x))), split(self.norm_k(self.k(context))), split(self.v(context))


class Block(nn.Module):
    def __init__(self, spec):
        super().__init__()
        dim, eps = spec["dim"], spec["eps"]
        self.dim, self.eps = dim, eps
        self.self_attn, self.cross_attn = Attention(dim, spec["heads"], eps), Attention(dim, spec["heads"], eps)
        self.norm3 = nn.LayerNorm(dim, eps)
        self.ffn = nn.Sequential(nn.Linear(dim, spec["ffn"]), nn.GELU("tanh"), nn.Linear(spec["ffn"], dim))
        self.modulation = nn.Parameter(torch.zeros(1, 6, dim))
        self.modulation.data[:, [2, 5]] = 0.3
        nn.init.zeros_(self.cross_attn.o.weight)

    def forward(self, x, e, context, self_attention):
        """x [B, f, L, dim], e [B, f, 6, dim], context [B, f, length, dim] -> x.
        self_attention(q, k, v) gets [B, f*L, heads, d] each."""
        batch, frames = x.shape[:2]
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.modulation[:, None] + e)[:, :, :, None].unbind(2)
        norm = lambda t: F.layer_norm(t, (self.dim,), eps=self.eps)
        y = (norm(x) * (1 + scale1) + shift1).flatten(1, 2)
        attended = self.self_attn.o(self_attention(*self.self_attn.project(y, y)))
        x = x + attended.unflatten(1, (frames, -1)) * gate1
        crossed = attend(*self.cross_attn.project(self.norm3(x).flatten(0, 1), context.flatten(0, 1)))
        x = x + self.cross_attn.o(crossed).unflatten(0, (batch, frames))
        return x + self.ffn(norm(x) * (1 + scale2) + shift2) * gate2


class Head(nn.Module):
    def __init__(self, dim, out, eps):
        super().__init__()
        self.dim, self.eps = dim, eps
        self.head = nn.Linear(dim, out)
        self.modulation = nn.Parameter(torch.zeros(1, 2, dim))

    def forward(self, x, e):
        shift, scale = (self.modulation[:, None] + e[:, :, None])[:, :, :, None].unbind(2)
        return self.head(F.layer_norm(x, (self.dim,), eps=self.eps) * (1 + scale) + shift)


class CausalDit(nn.Module):
    """spec: model.json "dit"; prompt_spec: model.json "prompt"."""

    def __init__(self, spec, prompt_spec):
        super().__init__()
        dim, channels = spec["dim"], spec["latentChannels"]
        self.freq_dim, self.channels, self.head_dim = spec["freqDim"], channels, dim // spec["heads"]
        self.prompt = PromptEncoder(prompt_spec)
        self.text_embedding = nn.Sequential(nn.Linear(spec["textDim"], dim), nn.GELU("tanh"), nn.Linear(dim, dim))
        self.patch_embedding = nn.Conv3d(2 * channels, dim, tuple(spec["patch"]), tuple(spec["patch"]))
        self.time_embedding = nn.Sequential(nn.Linear(self.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(Block(spec) for _ in range(spec["layers"]))
        self.head = Head(dim, 4 * channels, spec["eps"])
        nn.init.zeros_(self.time_projection[1].weight)
        nn.init.zeros_(self.time_projection[1].bias)

    def encode_prompt(self, ids):
        """ids of `tokenise` [B, length-1, ngrams] -> context [B, length, dim]"""
        return self.text_embedding(self.prompt(ids))

    def forward(self, noisy, clean, timestep, context, attention):
        """noisy, clean [B, f, C, h, w]; timestep [B, f] in 0..1000; context [B, f, length, dim]
        (the prompt may change from one latent frame to the next);
        attention(layer, q, k, v) does the self-attention. Returns x0 [B, f, C, h, w] in unit deviation."""
        batch, frames, _, h, w = noisy.shape
        x = F.conv2d(torch.cat([noisy, clean], 2).flatten(0, 1), self.patch_embedding.weight[:, :, 0], self.patch_embedding.bias, stride=2)
        x = x.flatten(2).transpose(1, 2).unflatten(0, (batch, frames))
        half = self.freq_dim // 2
        phase = timestep.float()[..., None] * 10000.0 ** (-torch.arange(half).float() / half)
        e = self.time_embedding(torch.cat([phase.cos(), phase.sin()], -1))
        e6 = self.time_projection(e).unflatten(-1, (6, -1))
        for i, block in enumerate(self.blocks):
            x = block(x, e6, context, lambda q, k, v: attention(i, q, k, v))
        out = self.head(x, e).unflatten(2, (h // 2, w // 2)).unflatten(-1, (2, 2, self.channels))
        return out.permute(0, 1, 6, 2, 4, 3, 5).reshape(batch, frames, self.channels, h, w)


def block_causal_attention(angles, tokens):
    """Training: each latent frame of `tokens` tokens sees itself and all earlier ones of its clip."""

    def attention(_, q, k, v):
        q, k = rotate(q, angles), rotate(k, angles)
        ends = range(tokens, q.shape[1] + 1, tokens)
        return torch.cat([attend(q[:, n - tokens:n], k[:, :n], v[:, :n]) for n in ends], 1)

    return attention


class Ring:
    """Streaming: keys and values of the last `size` latent frames of one row, the first `sinks` kept for good.

    Keys are stored before RoPE; at every call the frames in the ring get the positions 0, 1, 2, ... in
    their order and the new frame comes last, so positions never exceed `size - 1` however long the stream.
    """

    def __init__(self, layers, size, sinks):
        self.size, self.sinks = size, sinks
        self.frames = [[] for _ in range(layers)]

    def attention(self, head_dim, height, width):
        """The attention callback for the next latent frame; it also stores that frame."""

        def attention(layer, q, k, v):
            kept = self.frames[layer]
            if len(kept) == self.size:
                del kept[self.sinks]
            kept.append((k, v))
            angles = rope_angles(head_dim, range(len(kept)), height, width)
            keys = torch.cat([f[0] for f in kept], 1)
            values = torch.cat([f[1] for f in kept], 1)
            return attend(rotate(q, angles[-q.shape[1]:]), rotate(keys, angles), values)

        return attention

    def replace_last(self):
        """Forgets the newest frame, so that a later denoising step of the same latent can store it again."""
        for kept in self.frames:
            kept.pop()
