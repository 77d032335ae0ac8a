"""Makes training checkpoints of the released weights, so that training goes on from them on a new machine.

python resume.py WORKDIR [RATE]   writes WORKDIR/{encoder.pt, ae.pt, dit.pt}; RATE (0.5) scales the learning rates
The optimisers start anew: their state is not released. Run it before train_dit.py or train_autoencoder.py.
"""
import os
import sys

import torch

from export import load_models


def main(work, rate):
    spec, autoencoder, dit = load_models()
    os.makedirs(work, exist_ok=True)
    statistics = dict(mean=spec["autoencoder"]["latentMean"], std=spec["autoencoder"]["latentStd"])
    torch.save(dict(model=autoencoder.state_dict(), step=0, **statistics), os.path.join(work, "encoder.pt"))
    # All terms of the loss are in from step 450 on; the encoder is frozen from the start.
    torch.save(dict(model=autoencoder.state_dict(), step=450, seconds=0.0, rate=rate, encoder_share=0.0), os.path.join(work, "ae.pt"))
    torch.save(dict(model=dit.state_dict(), average=dit.state_dict(), step=0, seconds=0.0, rate=rate), os.path.join(work, "dit.pt"))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.5)
