#!/bin/sh
# Trains drift-nano from nothing and writes its weights beside its card:
#   ./train.sh WORKDIR [SHARDS] [AUTOENCODER_MINUTES] [TRANSFORMER_MINUTES]
# PYTHON names the interpreter. Started again, it goes on where it was.
set -eu
python=${PYTHON:-python3}
work=${1:?expected a folder for clips and checkpoints}
shards=${2:-120}
mkdir -p "$work"
work=$(cd "$work" && pwd)
cd "$(dirname "$0")"

"$python" sources.py "$work"
"$python" clips.py "$work" 0 "$shards"
"$python" train_autoencoder.py "$work" "${3:-26}"
"$python" latents.py "$work" 0 1
"$python" train_dit.py "$work" "${4:-63}"
"$python" export.py "$work"
