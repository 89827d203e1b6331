"""requests.py ask SHARD...: the samples of data shards as requests, a line of JSON each: what is the
candidate's comes with some other samples' candidates around it.

requests.py samples SHARD OUT [OFFSETS]: the same requests as a data shard without labels, a sample for
each candidate. OFFSETS: a list of request.offsets in JSON, or "right": those that part the requests.

requests.py check-samples REQUESTS PREDICTED ANSWERS: the candidates of so many answers are the samples
that dips predict wrote the probabilities of, each once, within 1e-5, in order.

requests.py check SHARD PREDICTED ANSWERS: every sample's own candidate was given the probability that
dips predict wrote for the sample, within 1e-5, and candidates stand in the order of theirs."""
import array, json, struct, sys
from compare import CODES, read

CANDIDATE = ("goods", "cate")
MANY = 7  # candidates of a request


def tensors(path):
    return {name: array.array(CODES[dtype], data) for name, dtype, data in read(path)}


def sample(t, i):
    """Features of sample i; its history as events or as columns, by turns."""
    first, end = t["history.offsets"][i : i + 2]
    columns = {c: t["history." + c][first:end].tolist() for c in ("goods", "cate", "time")
               if "history." + c in t}
    events = [dict(zip(columns, event)) for event in zip(*columns.values())]
    features = {name: t[name][i] for name in ("user", "time") if name in t}
    return {"request": i, **features, "history": events if i % 2 else columns}


def candidate(t, i):
    return {name: t[name][i] for name in CANDIDATE}


def ask(path):
    t = tensors(path)
    n = len(t["label"])
    for i in range(n):
        asked = [candidate(t, (i + 5 * k) % n) for k in range(MANY)]
        if i % 3 == 1:  # the same as columns
            asked = {name: [one[name] for one in asked] for name in CANDIDATE}
        if i % 3 == 2:  # ids as text
            asked = [{name: str(value) for name, value in one.items()} for one in asked]
        print(json.dumps({**sample(t, i), "candidates": asked}))


def samples(path, out, offsets=None):
    t = tensors(path)
    n = len(t["label"])
    rows = [(i, (i + 5 * k) % n) for i in range(n) for k in range(MANY)]  # whose request, whose candidate
    columns = {}
    for name, values in t.items():
        if name == "label" or name.startswith("history."):
            continue
        columns[name] = array.array(values.typecode, (values[j if name in CANDIDATE else i] for i, j in rows))
    bounds = [t["history.offsets"][i : i + 2] for i, _ in rows]
    ends = array.array("Q", [0])
    for first, end in bounds:
        ends.append(ends[-1] + end - first)
    columns["history.offsets"] = ends
    for name, values in t.items():
        if name.startswith("history.") and name != "history.offsets":
            columns[name] = array.array(values.typecode)
            for first, end in bounds:
                columns[name].extend(values[first:end])
    if offsets:
        columns["request.offsets"] = array.array(
            "Q", range(0, n * MANY + 1, MANY) if offsets == "right" else json.loads(offsets))
    write(out, columns)


def write(path, columns):
    dtypes = {code: dtype for dtype, code in CODES.items()}
    header, at = {}, 0
    for name, values in columns.items():
        size = len(values) * values.itemsize
        header[name] = {"dtype": dtypes[values.typecode], "shape": [len(values)], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in columns.values():
            file.write(values.tobytes())


def check_samples(wanted, predicted, answers):
    p = tensors(predicted)["probability"]
    lines = [json.loads(line) for line in open(answers)]
    assert [line["request"] for line in lines] == list(range(int(wanted))), f"{len(lines)} answers"
    seen, worst = [], 0
    for line in lines:
        got = [one["probability"] for one in line["candidates"]]
        assert got == sorted(got, reverse=True), f"request {line['request']}: not in order"
        worst = max(worst, *(abs(one["probability"] - p[one["sample"]]) for one in line["candidates"]))
        seen += sorted(one["sample"] for one in line["candidates"])
    assert seen == list(range(len(p))), "not every sample once"
    print(f"{len(lines)} requests of {len(p)} samples, largest difference {worst:.2g}")
    assert worst <= 1e-5


def check(path, predicted, answers):
    t, p = tensors(path), tensors(predicted)["probability"]
    lines = [json.loads(line) for line in open(answers)]
    assert len(lines) == len(p), f"{len(lines)} answers, {len(p)} samples"
    worst = 0
    for i, line in enumerate(lines):
        got = [one["probability"] for one in line["candidates"]]
        assert line["request"] == i and len(got) == MANY
        assert got == sorted(got, reverse=True), f"sample {i}: not in order"
        own = [one["probability"] for one in line["candidates"]
               if all(int(one[name]) == value for name, value in candidate(t, i).items())]
        assert own, f"sample {i}: its candidate is not there"
        worst = max(worst, abs(own[0] - p[i]))
    print(f"{len(p)} requests, largest difference {worst:.2g}")
    assert worst <= 1e-5


if __name__ == "__main__":
    {"ask": ask, "check": check, "samples": samples, "check-samples": check_samples}[sys.argv[1]](*sys.argv[2:])
