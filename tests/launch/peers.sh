# peers.sh - sourced by tests that compare with programs of others: PyTorch, numpy, safetensors, of the
# system or in a venv of pinned versions. DIPS_PEERS is its folder (launch/test.sh has its builds share
# one; else the tests of a build have one beside their rooms); making it is tried once.

# peer_python MODULES: set python to one that has them ("torch, numpy"); fails where none is to be had.
peer_python() {
    local peers=${DIPS_PEERS:-$(dirname "$PWD")/peers}

    python=${DIPS_PYTHON:-python3}
    python_has "$1" && return
    mkdir -p "$peers"
    ( # others may want it at the same time: nobody takes what is not complete
        flock 9
        [ -e "$peers/pip.txt" ] || make_peers "$peers"
    ) 9>"$peers/lock"
    python=$peers/venv/bin/python3
    python_has "$1"
}

# python_has MODULES: nothing is imported here, which takes PyTorch seconds.
python_has() {
    "$python" -c 'import importlib.util, sys
sys.exit(not all(map(importlib.util.find_spec, sys.argv[1].split(", "))))' "$1" 2>/dev/null
}

make_peers() {
    { python3 -m venv "$1/venv" && timeout 200 "$1/venv/bin/pip" install --quiet --timeout 10 \
        --retries 0 --disable-pip-version-check torch==2.13.0 numpy==2.1.3 safetensors==0.4.5; } \
        >"$1/pip.txt" 2>&1 || rm -rf "$1/venv"
}
