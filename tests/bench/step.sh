#!/bin/bash
# Training DIN: dips against PyTorch, on the same samples from the same first state. See step.py --help.
#
#     step.sh BUILD FOLDER [options of step.py]
#
# BUILD holds the executables, FOLDER takes the data and the runs (some GB). PyTorch is the system's,
# DIPS_PYTHON's, or a venv of pinned versions made once (tests/launch/peers.sh); without it dips goes alone.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/../launch/peers.sh"
build=$(readlink -f "$1") folder=$2
shift 2
mkdir -p "$folder"
cd "$folder"
export DIPS_PEERS=${DIPS_PEERS:-$PWD/peers}
torch=(--torch-python)
if peer_python 'torch, numpy, safetensors'; then
    torch+=("$python")
else
    echo "PyTorch is not to be had: dips alone"
    torch=()
fi
exec python3 "$here/step.py" "$build" "${torch[@]}" "$@"
