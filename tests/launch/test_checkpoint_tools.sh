#!/usr/bin/env bash
# What `dips checkpoint` makes of checkpoints that `dips train` wrote: list, diff, reshard.
. "$(dirname "$0")/lib.sh"

rm -rf ./*
world data
run_file run.yaml data
# Everything that a shard's file may hold: both counters of admission, the calendar, bf16.
rules=('tables.goods.admit={min_count: 2, counter: exact}' tables.cate.precision=bf16
    'tables.user.admit={min_count: 2, counter: sketch, expected_ids: 4000}')
train one train.steps=20 checkpoint.every="10 steps" "${rules[@]}"
train four train.steps=20 cluster.shards=4 "${rules[@]}"
cut=$(cut_at one 20)

# refused STATUS WORDS COMMAND ...: it ends with this status and says these words.
refused() {
    local wanted=$1 words=$2 status=0
    shift 2
    "$dips" checkpoint "$@" >out.txt 2>err.txt || status=$?
    [ "$status" -eq "$wanted" ] || fail "$*: status $status, wanted $wanted: $(cat err.txt)"
    grep -qF -- "$words" err.txt || fail "$*: '$(cat err.txt)' does not say '$words'"
}

say "list"
"$dips" checkpoint list one >list.txt
[ "$(awk 'NR > 1 {print $1, $4, $5, $NF}' list.txt | tr '\n' ',')" = "10 full 1 whole,20 full 1 whole," ] ||
    fail "$(cat list.txt)"
mkdir one/checkpoints/step-000000000030
mv "$(cut_at one 10)/dense.safetensors" kept
"$dips" checkpoint list one --json >list.json
python3 - "$cut" <<'PY' || fail "$(cat list.json)"
import glob, json, os, sys
a, b, c = json.load(open("list.json"))
assert (a["step"], a["whole"], a["fault"]) == (10, False, "dense.safetensors is missing"), a
assert (b["step"], b["whole"], b["shards"], b["parent"]) == (20, True, 1, None), b
assert b["bytes"] == sum(os.path.getsize(f) for f in glob.glob(sys.argv[1] + "/*.safetensors"))
assert not c["whole"] and "no manifest" in c["fault"], c
PY
mv kept "$(cut_at one 10)/dense.safetensors"
rmdir one/checkpoints/step-000000000030
refused 3 "there is no complete checkpoint" list data

say "reshard: the files that so many servers write"
"$dips" checkpoint reshard --shards 4 one four-of-one >out.txt
for k in 0 1 2 3; do
    cmp "four-of-one/shard-000$k-of-0004.safetensors" "$(cut_at four 20)/shard-000$k-of-0004.safetensors" ||
        fail "shard $k is another"
done
"$dips" checkpoint reshard four-of-one --shards 1 one-of-four >out.txt
cmp one-of-four/shard-0000-of-0001.safetensors "$cut/shard-0000-of-0001.safetensors" || fail "one shard is another"
"$dips" checkpoint reshard --shards 99 one 99 >out.txt
"$dips" checkpoint verify 99 >out.txt || fail "99 shards"
"$dips" checkpoint diff one 99 >out.txt || fail "99 shards are other rows: $(cat out.txt)"

say "a run goes on from other shards, and ends with the same bits"
train through train.steps=20 "${rules[@]}"
"$dips" checkpoint reshard --shards 3 through three >out.txt
rm -r "$(cut_at through 20)"
mv three "$(cut_at through 20)"
resume through train.steps=30 "${rules[@]}"
resume one train.steps=30 "${rules[@]}"
same "$(cut_at one 30)" "$(cut_at through 30)"

say "diff"
"$dips" checkpoint diff "$cut" "$cut" | tail -n 1 | grep -qx equal || fail "a checkpoint differs from itself"
refused 1 "differ" diff "$(cut_at one 10)" "$cut"
grep -qE '^  weight: [0-9]+ of [0-9]+ rows differ, by ' out.txt || fail "$(cat out.txt)"
grep -q '^manifest: step 10 against 20$' out.txt || fail "$(cat out.txt)"
refused 1 "differ" diff "$(cut_at one 10)" "$cut" --json
python3 - "$source/tests/launch" "$(cut_at one 10)" "$cut" <<'PY' || fail "other differences than Python sees"
import json, sys
sys.path.insert(0, sys.argv[1])
from compare import numbers, read_checkpoint
a, b = (read_checkpoint(path) for path in sys.argv[2:4])
told = {t["name"]: t for t in json.load(open("out.txt"))["tables"]}
rows = lambda c: {id: numbers(c["goods.weight"])[6 * i:6 * i + 6].tolist()
                  for i, id in enumerate(numbers(c["goods.ids"]).tolist())}
x, y = rows(a), rows(b)
weight = told["goods"]["columns"][0]
assert told["goods"]["rows_only_a"] == len(x.keys() - y.keys())
assert told["goods"]["rows_only_b"] == len(y.keys() - x.keys()) > 0
assert weight["different"] == sum(x[i] != y[i] for i in x.keys() & y.keys())
gap = max(abs(p - q) for i in x.keys() & y.keys() for p, q in zip(x[i], y[i]))
assert abs(weight["largest"] - gap) < 1e-7, (weight, gap)
PY

say "what is refused"
refused 2 "99 is there already" reshard --shards 2 one 99
refused 2 "--shards is missing" reshard one two
refused 2 "wanted IN and OUT" reshard --shards 2 one
refused 5 "nowhere/two" reshard --shards 2 one nowhere/two
refused 3 "nowhere" diff nowhere one
python3 "$source/tests/launch/spoil.py" "$cut/shard-0000-of-0001.safetensors" spoilt flip 4000
cp -r "$cut" damaged
mv spoilt damaged/shard-0000-of-0001.safetensors
refused 3 "damaged/shard-0000-of-0001.safetensors is damaged" reshard --shards 2 damaged two
refused 3 "damaged/shard-0000-of-0001.safetensors is damaged" diff damaged one
[ ! -e two ] && [ -z "$(ls -d ./*.dips-new 2>/dev/null)" ] || fail "something is left: $(ls)"

say "deltas"
train chain train.steps=20 checkpoint.every="20 steps" checkpoint.delta_every="5 steps" "${rules[@]}" checkpoint.keep=9
end=$(cut_at chain 15)
"$dips" checkpoint list chain >list.txt
grep -qE '^ *15 .* delta of 10 .* whole$' list.txt || fail "$(cat list.txt)"
"$dips" checkpoint inspect "$end" | grep -q '^step 15, a delta of step 10,' || fail "inspect"
"$dips" checkpoint verify "$end" >out.txt
[ "$(grep -c '  manifest.json' out.txt)" -eq 3 ] || fail "of the chain not all was verified: $(cat out.txt)"
train short train.steps=15 "${rules[@]}"
"$dips" checkpoint compact "$end" full >out.txt
cmp full/shard-0000-of-0001.safetensors "$(cut_at short 15)/shard-0000-of-0001.safetensors" || fail "another file"
"$dips" checkpoint reshard --shards 4 "$end" full-4 >out.txt
"$dips" checkpoint diff "$end" full-4 >out.txt || fail "$(cat out.txt)"
"$dips" checkpoint export "$end" of-delta >out.txt
"$dips" checkpoint export full of-full >out.txt
diff -r of-delta of-full >out.txt || fail "a delta is exported otherwise"
refused 2 "stands upon" compact "$(cut_at chain 10)"
"$dips" checkpoint compact "$end" >out.txt
cmp full/shard-0000-of-0001.safetensors "$end/shard-0000-of-0001.safetensors" || fail "in place another file"
rm -r "$(cut_at chain 20)" "$(cut_at chain 10)" "$(cut_at chain 5)"
resume chain train.steps=20 "${rules[@]}"
same "$(cut_at chain 20)" "$cut"

say "a checkpoint much larger than a bucket"
cat >large.yaml <<'YAML'
tables: {goods: {dim: 16, optimizer: rowwise_adagrad, lr: 0.05}}
features: {goods: {table: goods}}
model: {kind: base, candidate: [goods], mlp: {units: [4]}}
data: {train: [data/train-*.safetensors]}
YAML
mkdir table-goods
python3 - <<'PY'
import array
n, dim = 600_000, 16
header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {dim}), }}"
header += " " * (117 - len(header)) + "\n"
with open("table-goods/weight.npy", "wb") as file:
    file.write(b"\x93NUMPY\x01\x00\x76\x00" + header.encode())
    array.array("f", (i % 251 / 251 for i in range(n * dim))).tofile(file)
PY
"$dips" checkpoint import --config large.yaml --out large table-goods >out.txt || fail "import: $(cat out.txt)"
case $(ldd "$dips") in
*libasan* | *libtsan*) say "memory is not measured: sanitizers have their own" ;;
*)
    python3 - "$dips" <<'PY' || fail "memory grows with the checkpoint"
import os, resource, subprocess, sys
peak = lambda: resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
run = lambda *words: subprocess.run([sys.argv[1], "checkpoint", *words], check=True, stdout=subprocess.DEVNULL)
size = os.path.getsize("large/shard-0000-of-0001.safetensors")
run("list", "large")
before = peak()
run("reshard", "--shards", "5", "large", "larger")
run("diff", "large", "larger")
run("export", "larger", "largest")
print(f"a checkpoint of {size / 1e6:.1f} MB: {(peak() - before) / 1e6:.1f} MB of memory")
assert size > 45e6 and peak() - before < 20e6, (size, before, peak())
PY
    ;;
esac
say "cut off while it writes: nothing under its name, and the next attempt succeeds"
(ulimit -f 20000; "$dips" checkpoint reshard --shards 2 large off >out.txt 2>err.txt) && fail "20 MB were enough"
[ ! -e off ] || fail "something half written"
"$dips" checkpoint reshard --shards 2 large off >out.txt || fail "$(cat out.txt)"
"$dips" checkpoint verify off >out.txt
[ -z "$(ls -d ./*.dips-new 2>/dev/null)" ] || fail "something is left: $(ls)"

"$dips" checkpoint diff large off | tail -n 1 | grep -qx equal || fail "other rows"
rm -rf large larger largest off table-goods
