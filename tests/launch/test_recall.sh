# `dips recall` finds exactly the ids whose rows have the largest inner products, and what it
# prints is what `dips rank` reads.
. "$(dirname "$0")/lib.sh"

world data
run_file run.yaml data
train run train.steps=25 cluster.shards=3
cut=$(cut_at run 25)

cat >requests.jsonl <<'JSON'
{"request": "a", "user": 5, "id": 7}
{"request": "b", "user": 6, "vector": [1, -1, 0.5, 0, 2, 0.25], "exclude": [3, "4"]}
{"request": "c", "user": 7, "history": {"goods": [1, 2, 2], "cate": [1, 2, 2]}}
{"request": "d", "user": 8, "history": [{"goods": 9, "cate": 1}, {"goods": 123456, "cate": 1}]}
JSON
for batch in 1 3 64; do
    "$dips" recall --checkpoint run --table goods --k 12 --pool history.goods --exclude-pool \
        --batch $batch <requests.jsonl >found.$batch 2>err.txt || fail "recall: $(cat err.txt)"
    cmp found.1 found.$batch || fail "batches of $batch find something else"
done
python3 - "$source/tests/launch" "$cut" <<'PY' || fail "not the nearest"
import json, sys
sys.path.insert(0, sys.argv[1])
from compare import numbers, read_checkpoint
c = read_checkpoint(sys.argv[2])
ids = numbers(c["goods.ids"]).tolist()
w = numbers(c["goods.weight"]).tolist()
dim = len(w) // len(ids)
rows = {id: w[i * dim:(i + 1) * dim] for i, id in enumerate(ids)}
mean = lambda several: [sum(x) / len(several) for x in zip(*several)]
queries = [(rows[7], {7}), ([1, -1, .5, 0, 2, .25], {3, 4}), (mean([rows[1], rows[2], rows[2]]), {1, 2}),
           (rows[9], {9, 123456})]
for line, (query, out) in zip(map(json.loads, open("found.64")), queries, strict=True):
    products = {id: sum(a * b for a, b in zip(query, row)) for id, row in rows.items() if id not in out}
    best = sorted(products, key=lambda id: (-products[id], id))[:12]
    got = [one["goods"] for one in line["candidates"]]
    assert len(got) == 12 and all(abs(products[a] - products[b]) < 1e-6 for a, b in zip(got, best)), (got, best)
    assert all(abs(one["product"] - products[one["goods"]]) < 1e-6 for one in line["candidates"])
assert line["user"] == 8
PY

# Into rank, whole.
"$dips" rank run.yaml --checkpoint run --items 'data/train-*.safetensors' --top 5 <found.64 >ranked.jsonl \
    2>err.txt || fail "recall | rank: $(cat err.txt)"
[ "$(grep -c '"probability"' ranked.jsonl)" -eq 4 ] || fail "$(cat ranked.jsonl)"

# refused STATUS WORDS LINE [flags]
refused() {
    local wanted=$1 words=$2 line=$3 status=0
    shift 3
    printf '%s\n' "$line" | "$dips" recall --checkpoint run --table goods "$@" >out.txt 2>err.txt || status=$?
    [ "$status" -eq "$wanted" ] || fail "$line: status $status, wanted $wanted: $(cat err.txt)"
    grep -qF "$words" err.txt || fail "$line: '$(cat err.txt)' does not say '$words'"
}
refused 3 "request in line 1: vector has 2 numbers, rows of goods have 6" '{"vector": [1, 2]}'
refused 3 "id 123456 has no row in table goods" '{"id": 123456}'
refused 3 "it has no vector and no id" '{}'
refused 3 "no JSON" '{'
refused 2 "has no such table" '{}' --table gods
