# peers.sh - sourced by tests that compare with programs of others: PyTorch, numpy, safetensors, of the
# system or in a venv of pinned versions. DIPS_PEERS is its folder (launch/test.sh has its builds share
# one); making it is tried once.

# peer_python MODULES: set python to one that imports them ("torch, numpy"); fails where none is to be had.
peer_python() {
    local peers=${DIPS_PEERS:-$PWD/peers}

    for python in "${DIPS_PYTHON:-python3}" "$peers/venv/bin/python3"; do
        "$python" -c "import $1" 2>/dev/null && return
    done
    [ ! -e "$peers/pip.txt" ] || return 1
    mkdir -p "$peers"
    { python3 -m venv "$peers/venv" && timeout 200 "$peers/venv/bin/pip" install --quiet --timeout 10 \
        --retries 0 --disable-pip-version-check torch==2.13.0 numpy==2.1.3 safetensors==0.4.5; } \
        >"$peers/pip.txt" 2>&1
    "$python" -c "import $1" 2>/dev/null
}
