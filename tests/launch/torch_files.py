"""The files of dips for peers in PyTorch: safetensors as numpy has them."""
import glob
import json
import struct

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "U64": "<u8", "I64": "<i8", "U32": "<u4", "I32": "<i4", "U8": "u1"}


def read(path):
    """{name: array}"""
    with open(path, "rb") as f:
        raw = f.read()
    n = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for name, t in json.loads(raw[8 : 8 + n]).items():
        if name != "__metadata__":
            begin, end = t["data_offsets"]
            out[name] = np.frombuffer(raw[8 + n + begin : 8 + n + end], DTYPES[t["dtype"]]).reshape(t["shape"]).copy()
    return out


def read_shards(pattern):
    """The tensors of each file, in the order of their names."""
    return [read(path) for path in sorted(glob.glob(pattern))]


def read_checkpoint(folder):
    """Dense parameters; the rows of all shards: {T.ids, T.weight, T.@STATE, ...: array}"""
    shards = read_shards(folder + "/shard-*.safetensors")
    names = [name for name in shards[0] if not name.endswith(".buckets")]
    return read(folder + "/dense.safetensors"), {name: np.concatenate([s[name] for s in shards]) for name in names}
