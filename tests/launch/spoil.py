"""spoil.py IN OUT WHAT...: a copy of a safetensors file with something wrong in it.

  truncate N          without its last N bytes
  append N            with N bytes more
  flip I              one bit of byte I
  overlap NAME        NAME begins one element before the tensor ahead of it ends
  longer NAME N       NAME's shape says N elements more than its bytes
  drop NAME           without tensor NAME
  set NAME I VALUE    element I of NAME
  every NAME VALUE    every element of NAME
  none                the header of no samples: every list empty, offsets [0]
  histories           every history of length 0
  add NAME DTYPE V    tensor NAME of n elements V, n = the length of label
"""
import json, struct, sys

CODES = {"F32": "f", "F64": "d", "U64": "Q", "I64": "q", "U32": "I", "I32": "i"}


def read(path):
    with open(path, "rb") as file:
        raw = file.read()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    header.pop("__metadata__", None)
    data = raw[8 + length :]
    return raw, {
        name: [e["dtype"], e["shape"], bytearray(data[slice(*e["data_offsets"])])]
        for name, e in sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    }


def header_of(tensors):
    at, header = 0, {}
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    return header


def write(path, header, tensors):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


def fill(tensors, name, n, *values):
    dtype = tensors[name][0] if name in tensors else values[1]
    tensors[name] = [dtype, [n], bytearray(struct.pack("<" + CODES[dtype], values[0]) * n)]


def spoil(raw, tensors, what, words):
    """The bytes of a file, or None where tensors were changed instead."""
    if what == "truncate":
        return raw[: -int(words[0])]
    if what == "append":
        return raw + bytes(int(words[0]))
    if what == "flip":
        at = int(words[0])
        return raw[:at] + bytes([raw[at] ^ 16]) + raw[at + 1 :]
    if what == "drop":
        del tensors[words[0]]
    elif what == "set":
        dtype, _, data = tensors[words[0]]
        value = float(words[2]) if dtype[0] == "F" else int(words[2])
        struct.pack_into("<" + CODES[dtype], data, int(words[1]) * struct.calcsize(CODES[dtype]), value)
    elif what == "every":
        fill(tensors, words[0], tensors[words[0]][1][0], float(words[1]))
    elif what == "add":
        fill(tensors, words[0], tensors["label"][1][0], float(words[2]), words[1])
    elif what in ("none", "histories"):
        for name in tensors:
            if what == "none" or name.startswith("history."):
                fill(tensors, name, 0, 0)
        n = tensors["label"][1][0]
        fill(tensors, "history.offsets", n + 1, 0)
    return None


def main():
    source, target, what, *words = sys.argv[1:]
    raw, tensors = read(source)
    spoilt = spoil(raw, tensors, what, words)
    if spoilt is not None:
        with open(target, "wb") as file:
            file.write(spoilt)
        return
    header = header_of(tensors)
    if what == "overlap":
        header[words[0]]["shape"][0] += 1
        header[words[0]]["data_offsets"][0] -= struct.calcsize(CODES[tensors[words[0]][0]])
    elif what == "longer":
        header[words[0]]["shape"][0] += int(words[1])
    write(target, header, tensors)


main()
