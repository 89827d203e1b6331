#!/usr/bin/env python3
"""Read and write the files of dips without dips.

    interop.py [--own] write FOLDER                  data shards that train
    interop.py [--own] data FOLDER                   are these shards and counts consistent?
    interop.py [--own] checkpoint CHECKPOINT FOLDER  is this a checkpoint of those data?
    interop.py [--own] predictions CHECKPOINT FOLDER FILE    are these its probabilities?

Files are read by numpy and the safetensors package; with --own by the reader below,
which is all that it takes. Either way a tensor is (shape, flat list of numbers).
"""
import array
import glob
import json
import math
import random
import struct
import sys

CODES = {"F64": "d", "F32": "f", "U64": "Q", "I64": "q", "U32": "I", "I32": "i",
         "U16": "H", "I16": "h", "U8": "B", "I8": "b"}


def read_own(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = entry["shape"], array.array(CODES[entry["dtype"]], data[begin:end]).tolist()
    return tensors


def write_own(path, tensors):
    header, data = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        begin = len(data)
        data += array.array(CODES[dtype], values).tobytes()
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read_library(path):
    from safetensors.numpy import load_file
    return {name: (list(x.shape), x.ravel().tolist()) for name, x in load_file(path).items()}


def write_library(path, tensors):
    import numpy
    from safetensors.numpy import save_file
    kinds = {code: array.array(letter).typecode for code, letter in CODES.items()}
    save_file({name: numpy.array(values, dtype=kinds[dtype]).reshape(shape)
               for name, (dtype, shape, values) in tensors.items()}, path, {"made by": "interop.py"})


read, write = read_library, write_library


def check(holds, *words):
    if not holds:
        sys.exit("FAILED: " + " ".join(str(word) for word in words))


def read_shards(pattern):
    """The tensors of a folder's shards, one after another, as {name: list}."""
    paths = sorted(glob.glob(pattern))
    check(paths, "there is no", pattern)
    all_of = {}
    for path in paths:
        for name, (shape, values) in read(path).items():
            if name.endswith(".offsets") and name in all_of:
                base = all_of[name][-1]
                values = [base + offset for offset in values[1:]]
            all_of.setdefault(name, []).extend(values)
    return all_of


# ---- a data set of our own ----

USERS, GOODS, TAGS = 40, 60, 9


def write_shard(path, samples, seed):
    """Users like goods of their own parity; price and tags are noise. Ids reach beyond 2^63."""
    chance = random.Random(seed)
    user, goods, price, label = [], [], [], []
    tags, tag_offsets, events, event_offsets = [], [0], [], [0]
    for _ in range(samples):
        user.append(chance.randrange(USERS))
        goods.append(chance.randrange(GOODS) + 2**63)
        price.append(chance.random())
        tags += [chance.randrange(TAGS) - 4 for _ in range(chance.randrange(3))]
        tag_offsets.append(len(tags))
        events += [chance.randrange(user[-1] % 2, GOODS, 2) + 2**63
                   for _ in range(chance.randrange(5))]
        event_offsets.append(len(events))
        label.append(int((user[-1] + goods[-1]) % 2 == 0))
    # the odd number of bytes in front leaves the rest unaligned, where we write ourselves
    write(path, {
        "label": ("U8", [samples], label),
        "user": ("U32", [samples], user),
        "goods": ("U64", [samples], goods),
        "price": ("F32", [samples], price),
        "tags": ("I32", [len(tags)], tags),
        "tags.offsets": ("I64", [samples + 1], tag_offsets),
        "history.goods": ("I64", [len(events)], [id - 2**64 for id in events]),
        "history.offsets": ("U32", [samples + 1], event_offsets)})


def write_data(folder):
    write_shard(folder + "/train-00000.safetensors", 601, 1)
    write_shard(folder + "/train-00001.safetensors", 400, 2)
    write_shard(folder + "/test-00000.safetensors", 201, 3)


# ---- a data set of dips ----

def check_data(folder):
    data = read_shards(folder + "/train-*.safetensors")
    n, m = len(data["label"]), len(data["history.goods"])
    check(set(data["label"]) == {0, 1}, "labels are", set(data["label"]))
    for name in "user", "goods", "shop", "cate", "time", "probability":
        check(len(data[name]) == n, name, "has", len(data[name]), "elements, not", n)
    for name in "history.shop", "history.cate", "history.time":
        check(len(data[name]) == m, name, "has", len(data[name]), "elements, not", m)
    offsets = data["history.offsets"]
    check(len(offsets) == n + 1 and offsets[0] == 0 and offsets[-1] == m, "offsets do not cover")
    check(offsets == sorted(offsets), "offsets decrease")
    expected = sum(data["probability"])
    check(abs(sum(data["label"]) - expected) < 4 * math.sqrt(n) / 2,
          sum(data["label"]), "clicks, where", expected, "are expected")
    columns = {"user": ["user"], "goods": ["goods", "history.goods"],
               "shop": ["shop", "history.shop"], "cate": ["cate", "history.cate"]}
    check_counts(read(folder + "/counts.safetensors"), data, offsets, columns)


def check_counts(counts, data, offsets, columns):
    """counts has, for each table, in how many samples each id occurs: once per sample."""
    for table, names in columns.items():
        expected = {}
        for i in range(len(offsets) - 1):
            ids = set()
            for name in names:
                ids |= set(data[name][offsets[i]:offsets[i + 1]] if "." in name
                           else data[name][i:i + 1])
            for id in ids:
                expected[id] = expected.get(id, 0) + 1
        found = dict(zip(counts[table + ".ids"][1], counts[table + ".count"][1]))
        check(found == expected, "the counts of table", table, "are not those of the data")


# ---- a checkpoint ----

DIMS = {"user": 4, "goods": 6, "tag": 3}


def read_rows(checkpoint, manifest):
    """{table: {id: row}} of all shards."""
    rows = {table: {} for table in DIMS}
    for k in range(len(manifest["shards"])):
        shard = read("%s/shard-%04d-of-%04d.safetensors" % (checkpoint, k, len(manifest["shards"])))
        for table, dim in DIMS.items():
            shape, ids = shard[table + ".ids"]
            r = shape[0]
            check(shard[table + ".weight"][0] == [r, dim], table, shard[table + ".weight"][0])
            for part in "@sum", "count", "touched":
                check(shard[table + "." + part][0] == [r], table, part)
            buckets = shard[table + ".buckets"][1]
            check(len(buckets) == 4097 and buckets[0] == 0 and buckets[-1] == r and
                  buckets == sorted(buckets), table, "has wrong buckets")
            weight = shard[table + ".weight"][1]
            for i, id in enumerate(ids):
                check(id not in rows[table], table, "has the id", id, "twice")
                rows[table][id] = weight[i * dim:i * dim + dim]
    return rows


def load(checkpoint):
    with open(checkpoint + "/manifest.json") as file:
        manifest = json.load(file)
    for entry in manifest["files"]:
        with open(checkpoint + "/" + entry["name"], "rb") as file:
            check(len(file.read()) == entry["bytes"], entry["name"], "has another size")
    return manifest, read(checkpoint + "/dense.safetensors"), read_rows(checkpoint, manifest)


def unsigned(ids):
    return [id % 2**64 for id in ids]


def check_checkpoint(checkpoint, folder):
    manifest, dense, rows = load(checkpoint)
    data = read_shards(folder + "/train-*.safetensors")
    check(manifest["format"] == 1 and manifest["parent"] is None, "manifest", manifest["format"])
    seen = {"user": set(data["user"]), "tag": set(unsigned(data["tags"])),
            "goods": set(data["goods"]) | set(unsigned(data["history.goods"]))}
    for table, ids in seen.items():
        check(set(rows[table]) == ids, "table", table, "has not the ids of the data")
        check(all(math.isfinite(x) for row in rows[table].values() for x in row), table)
    shapes = {"mlp.0.weight": [8, 20], "mlp.0.bias": [8], "output.weight": [1, 8],
              "output.bias": [1]}
    for name, shape in shapes.items():
        check(dense[name][0] == shape, name, dense[name][0])


# ---- the model, once more ----

def linear(weight, bias, x):
    width = len(x)
    return [sum(w * v for w, v in zip(weight[o * width:], x)) + b for o, b in enumerate(bias)]


def predict(dense, rows, data, i):
    """Base: MLP([user, price, goods, sum of history, mean of tags])."""
    begin, end = data["history.offsets"][i:i + 2]
    events = [rows["goods"][id % 2**64] for id in data["history.goods"][begin:end]]
    begin, end = data["tags.offsets"][i:i + 2]
    tags = [rows["tag"][id % 2**64] for id in data["tags"][begin:end]]
    x = (rows["user"][data["user"][i]] + [data["price"][i]] + rows["goods"][data["goods"][i]] +
         [sum(column) for column in zip(*events, [0] * DIMS["goods"])] +
         [sum(column) / max(len(tags), 1) for column in zip(*tags, [0] * DIMS["tag"])])
    hidden = [max(h, 0) for h in linear(dense["mlp.0.weight"][1], dense["mlp.0.bias"][1], x)]
    (logit,) = linear(dense["output.weight"][1], dense["output.bias"][1], hidden)
    return 1 / (1 + math.exp(-logit))


def check_predictions(checkpoint, folder, path):
    _, dense, rows = load(checkpoint)
    data = read_shards(folder + "/test-*.safetensors")
    shape, found = read(path)["probability"]
    check(shape == [len(data["label"])], "probability has the shape", shape)
    for i, p in enumerate(found):
        expected = predict(dense, rows, data, i)
        check(abs(p - expected) < 1e-5, "sample", i, "has", p, "not", expected)
    check(max(found) - min(found) > 0.2, "the model learned nothing:", min(found), max(found))


COMMANDS = {"write": write_data, "data": check_data, "checkpoint": check_checkpoint,
            "predictions": check_predictions}

if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["--own"]:
        read, write = read_own, write_own
        words = words[1:]
    COMMANDS[words[0]](*words[1:])
