#!/usr/bin/env bash
# Rows and weights leave dips as files that other programs read, and come back.
. "$(dirname "$0")/lib.sh"

rm -rf ./*
world data
run_file run.yaml data
grep -q double <("$dips" --version) && real=F64 || real=F32
train run train.steps=20 cluster.shards=3
cut=$(cut_at run 20)

evaluate() { "$dips" eval run.yaml "data.test=data/test-*.safetensors" --checkpoint "$1" --json; }
import() { "$dips" checkpoint import --config run.yaml "$@"; }

say "export and import: the same bits"
for format in safetensors npy; do
    "$dips" checkpoint export --format $format run $format >out.txt || fail "export: $(cat out.txt)"
    import --out back-$format --shards 3 --step 20 $format >out.txt || fail "import: $(cat out.txt)"
    for k in 0 1 2; do
        cmp "back-$format/shard-000$k-of-0003.safetensors" "$cut/shard-000$k-of-0003.safetensors" ||
            fail "$format: shard $k is another"
    done
    "$dips" checkpoint diff run back-$format >out.txt || fail "$format: $(cat out.txt)"
    "$dips" checkpoint verify back-$format >out.txt
done
evaluate run >one.json
evaluate back-npy | diff - one.json >out.txt || fail "eval says something else: $(cat out.txt)"

say "Python reads what was exported"
python3 - "$source/tests/launch" "$cut" "$real" <<'PY' || fail "other numbers than the checkpoint's"
import os, sys
sys.path.insert(0, sys.argv[1])
from compare import numbers, read, read_checkpoint
cut = read_checkpoint(sys.argv[2])
for table, columns in {"goods": ["@sum"], "cate": ["@m", "@v", "@step"], "user": ["@sum"]}.items():
    got = {name: (dtype, data) for name, dtype, data in read(f"safetensors/table-{table}.safetensors")}
    assert got.keys() == {"ids", "weight", "count", "touched", *columns}, got.keys()
    assert got["weight"][0] == sys.argv[3] and got["ids"][0] == "U64"
    for name, (dtype, data) in got.items():
        assert data == cut[f"{table}.{name}"][1], (table, name)
dense = {"dense " + name: (dtype, data) for name, dtype, data in read("safetensors/dense.safetensors")}
assert dense == {name: value for name, value in cut.items() if name.startswith("dense ")}
try:
    import numpy
except ImportError:
    print("numpy is not here: .npy files were read by dips alone")
else:
    for name, value in dense.items():
        array = numpy.load(f"npy/dense/{name[6:]}.npy")
        assert array.tobytes() == value[1] and array.flags.c_contiguous, name
    ids, weight = (numpy.load(f"npy/table-goods/{name}.npy") for name in ("ids", "weight"))
    assert ids.dtype == numpy.uint64 and weight.shape == (len(ids), 6)
    assert weight.dtype.itemsize == int(sys.argv[3][1:]) // 8
    assert ids.tobytes() == cut["goods.ids"][1] and weight.tobytes() == cut["goods.weight"][1]
    assert os.path.getsize("npy/table-goods/weight.npy") % 8 == 0
PY
"$dips" checkpoint export --weights-only --tables cate,user run thin >out.txt
[ "$(ls thin | tr '\n' ' ')" = "dense.safetensors table-cate.safetensors table-user.safetensors " ] || fail "$(ls thin)"
import --out thinner thin >out.txt
grep -qx 'table goods: no file, no rows' out.txt || fail "$(cat out.txt)"
grep -q '^table cate: 8 rows, without @m, @v, @step, count, touched$' out.txt || fail "$(cat out.txt)"
grep -q '^dense: .* without (' out.txt || fail "$(cat out.txt)"

say "weights are those of a pull: decay caught up, bf16 widened"
rules=('tables.goods.penalty={kind: decay, lambda: 0.5}' tables.goods.optimizer=sgd tables.cate.precision=bf16)
train faded train.steps=20 "${rules[@]}"
"$dips" checkpoint export faded faded-out >out.txt
import --out faded-in faded-out "${rules[@]}" >out.txt
for one in faded faded-in; do
    "$dips" eval run.yaml "data.test=data/test-*.safetensors" "${rules[@]}" --checkpoint $one --json >$one.json
done
diff faded.json faded-in.json >out.txt || fail "eval says something else: $(cat out.txt)"
"$dips" checkpoint diff faded faded-in >out.txt && fail "nothing had decayed"
grep -q '^table cate: 0 rows only in A, 0 only in B, 8 in both, of which 0 differ' out.txt || fail "$(cat out.txt)"

say "rows of another program"
# pack OUT NAME:DTYPE:SHAPE:VALUES ...: a safetensors file.
pack() {
    python3 - "$@" <<'PY'
import json, struct, sys
header, data = {}, b""
for word in sys.argv[2:]:
    name, dtype, shape, values = word.split(":")
    code = {"F32": "f", "F64": "d", "I64": "q", "U64": "Q", "I32": "i"}[dtype]
    values = [(float if dtype[0] == "F" else int)(x) for x in values.split(",") if x]
    raw = struct.pack(f"<{len(values)}{code}", *values)
    header[name] = {"dtype": dtype, "shape": json.loads(shape), "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
text = json.dumps(header).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + data)
PY
}
pack table-goods.safetensors ids:I64:[3]:7,-1,3 weight:F64:[3,6]:1,2,3,4,5,6,0,0,0,0,0,9,1,1,1,1,1,1
pack table-cate.safetensors weight:F32:[2,4]:1,2,3,4,5,6,7,8
mkdir -p foreign/checkpoints
import --out foreign/checkpoints/step-000000000000 table-goods.safetensors table-cate.safetensors >out.txt
grep -q '^table cate: 2 rows, without ids (row i is id i), @m' out.txt || fail "$(cat out.txt)"
python3 - "$source/tests/launch" <<'PY' || fail "other rows"
import sys
sys.path.insert(0, sys.argv[1])
from compare import numbers, read_checkpoint
c = read_checkpoint("foreign/checkpoints/step-000000000000")
ids, w = numbers(c["goods.ids"]).tolist(), numbers(c["goods.weight"]).tolist()
rows = {id: w[6 * i:6 * i + 6] for i, id in enumerate(ids)}
assert rows == {7: [1, 2, 3, 4, 5, 6], 2**64 - 1: [0] * 5 + [9], 3: [1] * 6}, rows
w = numbers(c["cate.weight"]).tolist()
assert {id: w[4 * i:4 * i + 4] for i, id in enumerate(numbers(c["cate.ids"]))} == {0: [1, 2, 3, 4], 1: [5, 6, 7, 8]}
assert sum(numbers(c["cate.@m"])) == 0 and not c["user.ids"][1]
counts = dict(zip(ids, numbers(c["goods.count"])))
assert counts[7] > 0 and counts[2**64 - 1] == 0, counts  # of data.counts
PY
evaluate foreign >out.txt
resume foreign train.steps=5
"$dips" checkpoint list foreign | tail -n 1 | grep -q '^ *5 .*whole$' || fail "no training upon it"
train warm train.steps=5 init.from=back-npy init.only=[goods]

say "what is refused"
# refused STATUS WORDS FILES...
refused() {
    local wanted=$1 words=$2 status=0
    shift 2
    import --out refused "$@" >out.txt 2>err.txt || status=$?
    [ "$status" -eq "$wanted" ] || fail "$*: status $status, wanted $wanted: $(cat err.txt)"
    grep -qF -- "$words" err.txt || fail "$*: '$(cat err.txt)' does not say '$words'"
    [ -z "$(ls -d refused* 2>/dev/null)" ] || fail "$*: something is left"
}
mkdir bad
pack bad/table-goods.safetensors ids:U64:[2]:5,5 weight:F32:[2,6]:1,2,3,4,5,6,1,2,3,4,5,6
refused 3 "table goods: the id 5 is there twice" bad/table-goods.safetensors
pack bad/table-goods.safetensors ids:U64:[2]:5,6 weight:F32:[2,5]:1,2,3,4,5,6,7,8,9,10
refused 3 "weight has 10 numbers of F32 in 2 dimensions; for 2 ids of table goods [2, 6] is wanted" bad
pack bad/table-goods.safetensors ids:U64:[1]:5 weight:F32:[1,6]:1,2,3,4,5,nan
refused 3 "table goods: weight of id 5 is not finite" bad
pack bad/table-goods.safetensors ids:U64:[1]:5
refused 3 "there is no array 'weight'" bad
refused 3 "are both of table goods" bad/table-goods.safetensors table-goods.safetensors
python3 "$source/tests/launch/spoil.py" safetensors/table-goods.safetensors bad/table-goods.safetensors truncate 5
refused 3 "truncated" bad
cp table-goods.safetensors other.safetensors
refused 3 "of which table?" other.safetensors
refused 3 "nowhere" nowhere
head -c 100 npy/table-goods/weight.npy >short.npy
mkdir table-goods && cp short.npy table-goods/weight.npy
refused 3 "table-goods/weight.npy" table-goods
python3 - <<'PY'
import json, struct
raw = open("safetensors/dense.safetensors", "rb").read()
open("dense.safetensors", "wb").write(raw.replace(b'"mlp.0.weight":{"dtype":"F', b'"mlp.9.weight":{"dtype":"F'))
PY
import --out renamed dense.safetensors >out.txt || fail "a tensor less"
grep -q 'begin with first values (mlp.0.weight ...); .* tensors of no parameter (mlp.9.weight ...)' out.txt ||
    fail "$(cat out.txt)"
status=0
"$dips" checkpoint export --tables goods,shop run refused >out.txt 2>err.txt || status=$?
[ $status -eq 2 ] && grep -q "has no table 'shop'" err.txt || fail "$(cat err.txt)"
"$dips" checkpoint export run npy >out.txt 2>err.txt && fail "written over"
grep -q "npy is there already" err.txt || fail "$(cat err.txt)"
