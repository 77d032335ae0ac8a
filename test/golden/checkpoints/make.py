"""Makes tiny checkpoints in the layouts of the published ones, and a tokenizer.

    python3 make.py        (needs torch and Debian's package sentencepiece; torch 2.13.0 and
                            sentencepiece 0.1.97 wrote what is here)

Keys, types and nesting are those of StreamDiffusionV2's model.pt, of Wan2.1's UMT5 file and of
taew2_1.pth (madebyollin/taehv); the values are random and mean nothing.
"""

import subprocess
from collections import OrderedDict
from pathlib import Path

import torch

HERE = Path(__file__).parent
DIM, FFN, LAYERS, TEXT, VOCAB, LATENTS = 8, 12, 2, 8, 96, 16

torch.manual_seed(0)


def weight(*shape):
    spread = (shape[0] / torch.Size(shape).numel()) ** 0.5 if len(shape) > 1 else 0.1
    return torch.randn(shape) * spread


def linear(out, name, rows, columns, *kernel, bias=True):
    out[f"{name}.weight"] = weight(rows, columns, *kernel)
    if bias:
        out[f"{name}.bias"] = weight(rows)


def dit():
    out = OrderedDict()
    linear(out, "patch_embedding", DIM, LATENTS, 1, 2, 2)
    linear(out, "text_embedding.0", DIM, TEXT)
    linear(out, "text_embedding.2", DIM, DIM)
    linear(out, "time_embedding.0", DIM, 8)
    linear(out, "time_embedding.2", DIM, DIM)
    linear(out, "time_projection.1", 6 * DIM, DIM)
    for i in range(LAYERS):
        out[f"blocks.{i}.modulation"] = weight(1, 6, DIM)
        for kind in ("self_attn", "cross_attn"):
            for name in "qkvo":
                linear(out, f"blocks.{i}.{kind}.{name}", DIM, DIM)
            out[f"blocks.{i}.{kind}.norm_q.weight"] = 1 + weight(DIM)
            out[f"blocks.{i}.{kind}.norm_k.weight"] = 1 + weight(DIM)
        out[f"blocks.{i}.norm3.weight"] = 1 + weight(DIM)
        out[f"blocks.{i}.norm3.bias"] = weight(DIM)
        linear(out, f"blocks.{i}.ffn.0", FFN, DIM)
        linear(out, f"blocks.{i}.ffn.2", DIM, FFN)
    out["head.modulation"] = weight(1, 2, DIM)
    linear(out, "head.head", 4 * LATENTS, DIM)
    return OrderedDict((f"model.{k}", v.to(torch.bfloat16)) for k, v in out.items())


def umt5():
    out = OrderedDict()
    out["token_embedding.weight"] = weight(VOCAB, TEXT) * 3
    for i in range(2):
        out[f"blocks.{i}.norm1.weight"] = 1 + weight(TEXT)
        for name in "qkvo":
            linear(out, f"blocks.{i}.attn.{name}", TEXT, TEXT, bias=False)
        out[f"blocks.{i}.norm2.weight"] = 1 + weight(TEXT)
        for name in ("gate.0", "fc1"):
            linear(out, f"blocks.{i}.ffn.{name}", 12, TEXT, bias=False)
        linear(out, f"blocks.{i}.ffn.fc2", TEXT, 12, bias=False)
        out[f"blocks.{i}.pos_embedding.embedding.weight"] = weight(32, 2)
    out["norm.weight"] = 1 + weight(TEXT)
    return OrderedDict((k, v.to(torch.bfloat16)) for k, v in out.items())


def taehv(width=2, widths=(4, 3, 2, 2)):
    out = OrderedDict()

    def memory(name, channels):
        linear(out, f"{name}.conv.0", channels, 2 * channels, 3, 3)
        linear(out, f"{name}.conv.2", channels, channels, 3, 3)
        linear(out, f"{name}.conv.4", channels, channels, 3, 3)

    linear(out, "encoder.0", width, 3, 3, 3)
    for at, steps in ((2, 2), (7, 2), (12, 1)):
        linear(out, f"encoder.{at}.conv", width, width * steps, 1, 1, bias=False)
        linear(out, f"encoder.{at + 1}", width, width, 3, 3, bias=False)
        for i in range(3):
            memory(f"encoder.{at + 2 + i}", width)
    linear(out, "encoder.17", LATENTS, width, 3, 3)
    linear(out, "decoder.1", widths[0], LATENTS, 3, 3)
    # The first of these layers has more channels than the decoder uses: its loader takes the last.
    for at, stage, steps in ((3, 0, 2), (9, 1, 2), (15, 2, 2)):
        for i in range(3):
            memory(f"decoder.{at + i}", widths[stage])
        linear(out, f"decoder.{at + 4}.conv", widths[stage] * steps, widths[stage], 1, 1, bias=False)
        linear(out, f"decoder.{at + 5}", widths[stage + 1], widths[stage], 3, 3, bias=False)
    linear(out, "decoder.22", 3, widths[3], 3, 3)
    return OrderedDict((k, v.to(torch.float16)) for k, v in out.items())


def tokenizer():
    looks = "watercolour oil painting of a castle\nneon city at night, rain\nclay figures, soft light\n"
    looks += "a pencil sketch of a friend\nmarble statue in a garden\nVan Gogh, starry night\n"
    (HERE / "corpus.txt").write_text(looks * 20)
    # The ids of google/umt5-xxl: padding, end, begin, unknown.
    subprocess.run(
        ["spm_train", "--input=corpus.txt", "--model_prefix=tokenizer",
         "--vocab_size=80", "--hard_vocab_limit=false", "--pad_id=0", "--eos_id=1", "--bos_id=2", "--unk_id=3",
         "--normalization_rule_name=identity", "--minloglevel=2"],
        check=True,
        cwd=HERE,  # the model remembers its paths
    )  # fmt: skip
    (HERE / "corpus.txt").unlink()
    (HERE / "tokenizer.vocab").unlink()


torch.save({"generator": dit(), "step": 1000}, HERE / "model.pt")
torch.save(umt5(), HERE / "umt5.pth")
torch.save(taehv(), HERE / "taew2_1.pth")
tokenizer()
