"""Makes the PyTorch archives of this folder: good ones with torch, hostile ones by hand.

    python3 make.py        (needs torch; 2.13.0 wrote what is here)

The values are small integers that the tests know.
"""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch

HERE = Path(__file__).parent


def count(*shape, dtype=torch.float32, start=0):
    n = torch.Size(shape).numel()
    return torch.arange(start, start + n).reshape(shape).to(dtype)


def good():
    base = count(4, 3)
    generator = OrderedDict(
        {
            "model.f32": base,
            "model.view": base[1:3],  # the same storage, from an offset
            "model.transposed": base.t(),
            "model.column": base[:, 1],
            "model.bf16": count(2, 3, dtype=torch.bfloat16).t(),
            "model.f16": count(2, 2, dtype=torch.float16),
            "model.f8": count(4, dtype=torch.float8_e4m3fn),
            "model.i64": count(2, dtype=torch.int64, start=-1),
            "model.i32": count(2, dtype=torch.int32),
            "model.u8": count(3, dtype=torch.uint8),
            "model.scalar": torch.tensor(7.0),
            "model.empty": torch.zeros(0, 4),
            "model.parameter": torch.nn.Parameter(count(2)),
        }
    )
    other = {"model.f32": count(4, 3, start=100)}
    torch.save(
        {
            "generator_ema": other,
            "generator": generator,
            "step": 1 << 40,
            "rate": 0.5,
            "betas": (0.9, 0.999),
            "names": ["a", None, True, -3, 300],
            "shape": torch.Size([1, 2]),
        },
        HERE / "trainer.pt",
    )
    torch.save({"state_dict": {"net": {"weight": count(2)}}}, HERE / "nested.pt")
    linear = torch.nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(count(2, 3))
        linear.bias.copy_(count(2, start=10))
    torch.save(linear.state_dict(), HERE / "module.pth")


class Call:
    """Pickles to a call of `function`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def tensor_program(offset=0, shape=(2,), strides=(1,), elements=2, storage="0"):
    """What torch writes for {"weight": tensor}, by hand, so that it can lie."""
    out = io.BytesIO()
    pickler = pickle.Pickler(out, protocol=2)
    pickler.persistent_id = lambda o: o.id if isinstance(o, Stored) else None
    pickler.dump({"weight": Call(torch._utils._rebuild_tensor_v2, Stored(storage, elements), offset,
                                 shape, strides, False, OrderedDict())})  # fmt: skip
    return out.getvalue()


class Stored:
    def __init__(self, key, elements):
        self.id = ("storage", torch.FloatStorage, key, "cpu", elements)


def archive(name, program, order=b"little", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(HERE / name, "w") as z:
        z.writestr("archive/data.pkl", program)
        z.writestr("archive/byteorder", order)
        z.writestr("archive/data/0", struct.pack("<2f", 1, 2), compress_type=compression)
    return HERE / name


def patch(path, at, data):
    content = bytearray(path.read_bytes())
    content[at : at + len(data)] = data
    path.write_bytes(bytes(content))


def directory_entry(path, name):
    """Where the directory's entry for a record begins."""
    content = path.read_bytes()
    return content.rindex(b"archive/" + name) - 46


def hostile():
    import os

    archive("calls-system.pt", pickle.dumps({"weight": Call(os.system, "false")}, protocol=2))
    archive("compressed.pt", tensor_program(), compression=zipfile.ZIP_DEFLATED)
    archive("big-endian.pt", tensor_program(), order=b"big")
    archive("beyond-storage.pt", tensor_program(offset=1))
    archive("negative-offset.pt", tensor_program(offset=-1))
    archive("huge-stride.pt", tensor_program(strides=(1 << 62,)))
    archive("wrapped-shape.pt", tensor_program(shape=(1 << 32, 1 << 32), strides=(0, 0)))
    archive("expanded.pt", tensor_program(shape=(1 << 20,), strides=(0,)))
    archive("short-storage.pt", tensor_program(elements=3))
    archive("no-storage.pt", tensor_program(storage="9"))
    whole = archive("cut-off.pt", tensor_program()).read_bytes()
    (HERE / "cut-off.pt").write_bytes(whole[: len(whole) * 2 // 3])
    # The second record claims to begin where the first one does.
    path = archive("overlapping.pt", tensor_program())
    patch(path, directory_entry(path, b"byteorder") + 42, struct.pack("<I", 0))
    path = archive("outside-offset.pt", tensor_program())
    patch(path, directory_entry(path, b"data/0") + 42, struct.pack("<I", 1 << 30))
    path = archive("outside-size.pt", tensor_program())
    patch(path, directory_entry(path, b"data/0") + 20, struct.pack("<II", 1 << 20, 1 << 20))
    path = archive("wrong-checksum.pt", tensor_program())
    content = path.read_bytes()
    patch(path, content.index(struct.pack("<2f", 1, 2)), struct.pack("<2f", 1, 3))


good()
hostile()
