"""Streaming video autoencoder in the TAEHV form: 4 frames of 3xHxW become one latent of 16xH/8xW/8.

The layer lists of `model.json` are the single description of the network; `Autoencoder` builds exactly
what they say, with the parameter names that the engine expects (`encoder.<index>...`).
"""
import torch
import torch.nn as nn
import torch.nn.functional as F


class MemBlock(nn.Module):
    """y = relu(net([x, past]) + x), where past is the same layer's input one time step earlier."""

    def __init__(self, channels, convs):
        super().__init__()
        layers = [nn.Conv2d(2 * channels, channels, 3, 1, 1)]
        for _ in range(convs - 1):
            layers += [nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x, batch, past):
        """x [batch*T, C, h, w]; past [batch, C, h, w], or None at the start. Returns y and the new past."""
        steps = x.unflatten(0, (batch, -1))
        first = torch.zeros_like(steps[:, :1]) if past is None else past[:, None]
        earlier = torch.cat([first, steps[:, :-1]], 1).flatten(0, 1)
        return F.relu(self.conv(torch.cat([x, earlier], 1)) + x), steps[:, -1]


class TPool(nn.Module):
    """Joins `stride` consecutive time steps (earlier first in the channels) into one."""

    def __init__(self, channels, out, stride):
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(stride * channels, out, 1, bias=False)

    def forward(self, x):
        n, c, h, w = x.shape
        return self.conv(x.reshape(n // self.stride, self.stride * c, h, w))


class TGrow(nn.Module):
    """Splits each time step into `stride` consecutive ones (the first channels become the earlier step)."""

    def __init__(self, channels, out, stride):
        super().__init__()
        self.out, self.stride = out, stride
        self.conv = nn.Conv2d(channels, stride * out, 1, bias=False)

    def forward(self, x):
        n, _, h, w = x.shape
        return self.conv(x).reshape(n * self.stride, self.out, h, w)


class Clamp(nn.Module):
    """Soft limit of the latents: tanh(x / c) * c."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def forward(self, x):
        return torch.tanh(x / self.limit) * self.limit


def build_layer(spec, limit):
    """One entry of a layer list of model.json -> module."""
    kind, args = spec[0], spec[1:]
    if kind == "conv":
        return nn.Conv2d(args[0], args[1], 3, args[2], 1)
    if kind == "relu":
        return nn.ReLU()
    if kind == "up":
        return nn.Upsample(scale_factor=2, mode="nearest")
    if kind == "clamp":
        return Clamp(limit)
    if kind in ("mem", "tpool", "tgrow"):
        return {"mem": MemBlock, "tpool": TPool, "tgrow": TGrow}[kind](*args)
    raise ValueError(f"expected a layer kind of model.json, got {kind!r}")


class Autoencoder(nn.Module):
    """Pixels are [B, 4n, 3, H, W] in -1..1, latents [B, n, 16, H/8, W/8].

    Two latent channels, the chroma anchor, are not learned: they hold the averaged chroma of the chunk,
    and the decoder adds it back. Without them training loses the green-magenta axis for a long time.
    """

    def __init__(self, spec):
        super().__init__()
        self.patch = spec["patch"]
        self.scale = spec["spatialScale"]
        self.encoder = nn.ModuleList(build_layer(s, spec["latentClamp"]) for s in spec["encoder"])
        self.decoder = nn.ModuleList(build_layer(s, spec["latentClamp"]) for s in spec["decoder"])
        anchor = spec["chromaAnchor"]
        self.anchor = anchor["channels"]
        self.anchor_scale = anchor["scale"]
        self.register_buffer("to_chroma", torch.tensor(anchor["toChroma"]), persistent=False)
        self.register_buffer("from_chroma", torch.tensor(anchor["fromChroma"]), persistent=False)
        self.register_buffer("mean", torch.tensor(spec["latentMean"]).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec["latentStd"]).view(-1, 1, 1), persistent=False)

    def initialise(self):
        """He initialisation; each memory block starts as the identity, the output starts small."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, MemBlock):
                nn.init.zeros_(module.conv[-1].weight)
        self.encoder[-1].weight.data.mul_(0.7)
        self.decoder[-1].weight.data.mul_(0.3)
        return self

    @staticmethod
    def run(layers, x, batch, state):
        """Runs a layer list. state: list of the memory blocks' pasts, or None. Returns x and the new state."""
        new_state = []
        for layer in layers:
            if isinstance(layer, MemBlock):
                past = None if state is None else state[len(new_state)]
                x, past = layer(x, batch, past)
                new_state.append(past)
            else:
                x = layer(x)
        return x, new_state

    def encode(self, pixels, state=None):
        """pixels [B, 4n, 3, H, W] -> raw latents [B, n, 16, H/8, W/8] and the streaming state."""
        batch = pixels.shape[0]
        x = F.pixel_unshuffle(pixels.flatten(0, 1), self.patch).contiguous(memory_format=torch.channels_last)
        z, state = self.run(self.encoder, x, batch, state)
        z = z.unflatten(0, (batch, -1))
        chunk = pixels.shape[1] // z.shape[1]
        chroma = torch.einsum("dc,btchw->bdthw", self.to_chroma, pixels * 0.5 + 0.5)
        chroma = F.avg_pool3d(chroma, (chunk, self.scale, self.scale)).transpose(1, 2) * self.anchor_scale
        z = z.clone()
        z[:, :, self.anchor] = chroma
        return z, state

    def decode(self, latents, state=None):
        """raw latents [B, n, 16, h, w] -> pixels [B, 4n, 3, 8h, 8w] (not clipped) and the streaming state."""
        batch = latents.shape[0]
        x = latents.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        y, state = self.run(self.decoder, x, batch, state)
        y = F.pixel_shuffle(y, self.patch)
        chroma = latents[:, :, self.anchor].flatten(0, 1) / self.anchor_scale
        chroma = F.interpolate(chroma, scale_factor=self.scale, mode="bilinear", align_corners=False)
        colour = torch.einsum("cd,ndhw->nchw", self.from_chroma, chroma) * 2  # 0..1 units -> -1..1 units
        y = y + colour.repeat_interleave(y.shape[0] // colour.shape[0], 0)
        return y.unflatten(0, (batch, -1)), state

    def normalise(self, z):
        """Raw latents -> unit standard deviation per channel."""
        return (z - self.mean) / self.std

    def denormalise(self, z):
        """Inverse of `normalise`."""
        return z * self.std + self.mean
