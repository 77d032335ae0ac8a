"""The transformer of `driftless-bench dit` in PyTorch: the same products, attention, norms and
rotary embedding with random weights, so that the two can be compared on one machine.

    pip install torch
    python3 native/bench/torch_block.py --dim 1536 --ffn 8960 --heads 12 --tokens 1560 --kv 6 \
        --layers 2 --rows 1 --dtype bf16

PyTorch is nothing that Driftless needs; this file only measures. It leaves out what the engine's
figure contains besides the blocks (patch and time embedding, head), which is in PyTorch's favour.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F


class Block(torch.nn.Module):
    def __init__(self, dim, ffn, heads):
        super().__init__()
        self.heads = heads
        self.self_q, self.self_k, self.self_v, self.self_o = (
            torch.nn.Linear(dim, dim) for _ in range(4)
        )
        self.cross_q, self.cross_o = torch.nn.Linear(dim, dim), torch.nn.Linear(dim, dim)
        self.up, self.down = torch.nn.Linear(dim, ffn), torch.nn.Linear(ffn, dim)
        self.norm_q, self.norm_k, self.norm_cross = (torch.nn.RMSNorm(dim) for _ in range(3))
        self.norm3 = torch.nn.LayerNorm(dim)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def attend(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def rotate(self, x, angles):
        even, odd = x[..., 0::2], x[..., 1::2]
        cos, sin = angles
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

    def forward(self, x, e, angles, ring_k, ring_v, text_k, text_v):
        tokens = x.shape[1]
        h = F.layer_norm(x, x.shape[-1:]) * (1 + e[1]) + e[0]
        q = self.rotate(self.split(self.norm_q(self.self_q(h))), angles)
        k = self.rotate(self.split(self.norm_k(self.self_k(h))), angles)
        # A full ring whose newest frame is this one.
        ring_k[:, :, -tokens:], ring_v[:, :, -tokens:] = k, self.split(self.self_v(h))
        x = x + e[2] * self.self_o(self.attend(q, ring_k, ring_v))
        q = self.split(self.norm_cross(self.cross_q(self.norm3(x))))
        x = x + self.cross_o(self.attend(q, text_k, text_v))
        h = F.layer_norm(x, x.shape[-1:]) * (1 + e[4]) + e[3]
        return x + e[5] * self.down(F.gelu(self.up(h), approximate="tanh"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name, default in (("dim", 192), ("ffn", 576), ("heads", 3), ("tokens", 144), ("kv", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--text", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="bf16")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    dtype = torch.bfloat16 if a.dtype == "bf16" else torch.float32
    keys, head_dim = a.kv * a.tokens, a.dim // a.heads

    def normal(*shape):
        return torch.randn(*shape, dtype=dtype)

    blocks = [Block(a.dim, a.ffn, a.heads).to(dtype).eval() for _ in range(a.layers)]
    rings = [
        [normal(a.rows, a.heads, n, head_dim) for n in (keys, keys, a.text, a.text)] for _ in blocks
    ]
    x, e = normal(a.rows, a.tokens, a.dim), normal(6, a.rows, 1, a.dim)
    turn = torch.rand(a.tokens, head_dim // 2) * 6
    angles = turn.cos().to(dtype), turn.sin().to(dtype)

    wall, cpu = [], []
    with torch.inference_mode():
        end = time.perf_counter() + a.seconds
        while len(wall) < 4 or time.perf_counter() < end:
            start, cpu_start = time.perf_counter(), time.process_time()
            y = x
            for block, ring in zip(blocks, rings):
                y = block(y, e, angles, *ring)
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - cpu_start)
    wall, cpu = wall[1:], cpu[1:]  # the first prepares primitives
    print(
        f"torch {torch.__version__} {a.dtype}, {a.threads} thread(s): "
        f"{statistics.median(wall) * 1e3:.2f} ms per forward (best {min(wall) * 1e3:.2f}, "
        f"processor time {statistics.median(cpu) * 1e3:.2f}, best {min(cpu) * 1e3:.2f})"
    )


main()
