"""compare.py A B [--norm X | --largest X]: are two checkpoints equal?

Every tensor of every file is compared; rows that lie in other files on another number of
servers are put together first. Without a bound bit for bit; --norm: |a-b| / |b| <= X in the
2-norm; --largest: max |a-b| <= X max |b|. Integers are equal in any case. Needs nothing but
Python."""
import array, glob, json, math, os, struct, sys

CODES = {"F32": "f", "F64": "d", "U64": "Q", "I64": "q", "U32": "I", "I32": "i"}


def read(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        yield name, entry["dtype"], data[begin:end]


def numbers(tensor):
    """What the bytes of (dtype, bytes) say."""
    return array.array(CODES[tensor[0]], tensor[1])


def read_checkpoint(folder):
    """{name: (dtype, bytes)}; the parts of a table in the order of its shards."""
    if not os.path.exists(os.path.join(folder, "manifest.json")):
        sys.exit(f"{folder}: no checkpoint")
    tensors = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        for name, dtype, data in read(path):
            if name.endswith(".buckets"):  # offsets within one file
                continue
            if name.endswith((".days", ".form")):  # the same in all files
                if tensors.setdefault(name, (dtype, data)) != (dtype, data):
                    sys.exit(f"{path}: {name} is not that of the other files")
                continue
            if path.endswith("dense.safetensors"):
                name = "dense " + name
            tensors[name] = (dtype, tensors.get(name, (dtype, b""))[1] + data)
    return tensors


def distance(a, b, bound):
    """How far a is from b in the measure of bound."""
    if bound == "--norm":
        norm = math.sqrt(math.fsum(y * y for y in b))
        gap = math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(a, b)))
    else:
        norm = max((abs(y) for y in b), default=0)
        gap = max((abs(x - y) for x, y in zip(a, b)), default=0)
    return gap / norm if gap else 0.0


def main():
    first, second = (read_checkpoint(folder) for folder in sys.argv[1:3])
    bound, limit = (sys.argv[3], float(sys.argv[4])) if len(sys.argv) > 3 else (None, 0.0)
    if first.keys() != second.keys():
        sys.exit(f"other tensors: {sorted(first.keys() ^ second.keys())}")
    if len(first) < 2:
        sys.exit("there is nothing to compare")
    worst, where = 0.0, "-"
    for name, (dtype, a) in first.items():
        other, b = second[name]
        if dtype != other or len(a) != len(b):
            sys.exit(f"{name}: {len(a)} bytes of {dtype}, {len(b)} bytes of {other}")
        if a == b:
            continue
        if bound is None or dtype not in ("F32", "F64"):
            sys.exit(f"{name}: not the same bits")
        gap = distance(array.array(CODES[dtype], a), array.array(CODES[dtype], b), bound)
        if not gap <= worst:
            worst, where = gap, name
    print(f"{sys.argv[1]} {sys.argv[2]}: {len(first)} tensors, largest difference {worst:.3g} ({where})")
    if not worst <= limit:
        sys.exit(f"{where}: {worst:.3g} is over {limit:g}")


if __name__ == "__main__":
    main()
