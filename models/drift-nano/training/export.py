"""Writes the model folder from training checkpoints: F16 weights and the latent statistics in model.json.

python export.py WORKDIR   reads WORKDIR/{ae.pt, encoder.pt, dit.pt}; what is missing is exported as initialised.
Every file is written beside its target and renamed, so that a reader never sees half a file.
"""
import json
import os
import re
import sys

import torch
from safetensors.torch import load_file, save_file

from autoencoder import Autoencoder
from dit import CausalDit

MODEL = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))


def read_spec():
    with open(os.path.join(MODEL, "model.json")) as file:
        return json.load(file)


def write_spec(spec):
    """Indented, with arrays of plain values on one line."""
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s*\n\s*", " ", m.group(1)) + "]", json.dumps(spec, indent=2))
    path = os.path.join(MODEL, "model.json")
    with open(path + ".tmp", "w") as file:
        file.write(text + "\n")
    os.replace(path + ".tmp", path)


def write_weights(module, name):
    path = os.path.join(MODEL, name)
    tensors = {key: value.detach().to(torch.float16).contiguous() for key, value in module.state_dict().items()}
    save_file(tensors, path + ".tmp", {"format": "pt", "license": "Apache-2.0"})
    os.replace(path + ".tmp", path)


def load_models(spec=None):
    """The exported model, widened to float32: (spec, Autoencoder, CausalDit), ready to run."""
    spec = spec or read_spec()
    autoencoder = Autoencoder(spec["autoencoder"])
    dit = CausalDit(spec["dit"], spec["prompt"])
    for module, part in ((autoencoder, "autoencoder"), (dit, "dit")):
        weights = load_file(os.path.join(MODEL, spec[part]["file"]))
        module.load_state_dict({key: value.float() for key, value in weights.items()})
        module.eval().requires_grad_(False)
    return spec, autoencoder, dit


def checkpoint(work, name):
    path = os.path.join(work, name)
    return torch.load(path) if os.path.exists(path) else None


def main(work):
    torch.manual_seed(0)
    spec = read_spec()
    autoencoder, dit = Autoencoder(spec["autoencoder"]).initialise(), CausalDit(spec["dit"], spec["prompt"])
    encoder, ae, denoiser = (checkpoint(work, name) for name in ("encoder.pt", "ae.pt", "dit.pt"))
    if ae:
        autoencoder.load_state_dict(ae["model"])
    if encoder:
        spec["autoencoder"]["latentMean"] = [round(v, 5) for v in encoder["mean"]]
        spec["autoencoder"]["latentStd"] = [round(v, 5) for v in encoder["std"]]
    if denoiser:
        dit.load_state_dict(denoiser["average"])
    write_spec(spec)
    write_weights(autoencoder, spec["autoencoder"]["file"])
    write_weights(dit, spec["dit"]["file"])
    print("exported", "ae" if ae else "initial ae", "dit" if denoiser else "initial dit")


if __name__ == "__main__":
    main(sys.argv[1])
