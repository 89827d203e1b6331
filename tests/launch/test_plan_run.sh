# dips plan foretells a run: rows, checkpoint and wire to 5 %, and says in words what is wrong.
. "$2/tests/launch/lib.sh"

world data --goods 1M --users 100K --zipf 0
run_file run.yaml data

# number KEY FILE: a number of a JSON object.
number() { sed -n "s/.*\"$1\": *\\([0-9.]*\\).*/\\1/p" "$2" | tail -n 1; }

# near WHAT PLANNED SEEN: within 5 %.
near() {
    awk -v p="$2" -v s="$3" 'BEGIN {exit !(s > 0 && p >= 0.95 * s && p <= 1.05 * s)}' ||
        fail "$1: planned $2, seen $3"
    say "$1: planned $2, seen $3"
}

"$dips" plan run.yaml cluster.servers=2 --json >plan.json
"$dips" plan run.yaml cluster.servers=2 >plan.txt
grep -q "each server" plan.txt || fail "no line for servers"
[ "$(wc -l <plan.txt)" -lt 30 ] || fail "more than a screen"

# Every id of the train split is touched in an epoch, so the counts tell the rows.
train run cluster.servers=2
rows=$(number rows run/metrics.jsonl)
near rows "$(sed 's/.*"rows":\([0-9]*\),"tables".*/\1/; s/^{"rows":\([0-9]*\).*/\1/' plan.json)" "$rows"
last=$(ls -d run/checkpoints/step-* | tail -n 1)
seen=$(($(number wire_sent_bytes run/metrics.jsonl) + $(number wire_received_bytes run/metrics.jsonl)))
planned=$(($(number pull_bytes plan.json) + $(number rows_bytes plan.json) + $(number push_bytes plan.json)))
near "wire of a step" $planned $((seen / $(grep -c '"event":"step"' run/metrics.jsonl)))
near checkpoint "$(number checkpoint plan.json)" "$(cat "$last"/*.safetensors | wc -c)"

"$dips" plan run.yaml --workers 64 --servers 1 --network 25Gbit train.batch=2048 train.mode=pipelined \
    train.staleness=1 >cluster.txt
grep -q "samples/s of 64 workers: held up by a shard's thread" cluster.txt ||
    fail "64 small parts of a step: $(cat cluster.txt)"
grep -q "at 3.1. GB/s of network" cluster.txt || fail "25Gbit is no 3.125 GB/s"

# wrong STATUS SENTENCE WORDS...: dips plan WORDS refuses with SENTENCE.
wrong() {
    local status=$1 sentence=$2 got=0
    shift 2
    "$dips" plan "$@" >wrong.out 2>wrong.err || got=$?
    [ "$got" = "$status" ] || fail "dips plan $*: status $got, wanted $status"
    grep -q -- "$sentence" wrong.err || fail "dips plan $* says: $(cat wrong.err)"
}
wrong 2 "which configuration" --ids 3M
wrong 2 "no number of ids" run.yaml --ids 3x
wrong 2 "no number of ids" run.yaml --ids goods=-1
wrong 2 "no table 'shoes'" run.yaml --ids shoes=3M
wrong 2 "names no table" run.yaml --ids goods=3M,5M
wrong 2 "not in" run.yaml --distinct 2
wrong 2 "how many ids will table goods have" run.yaml data.counts=none.safetensors
wrong 2 "has no max_len and data.train is not there yet" run.yaml --ids 3M data.train=none.safetensors \
    features.history.max_len=0
"$dips" plan run.yaml --ids 3M data.train=none.safetensors | grep -q "at most: no data.train" ||
    fail "a plan without data tells a share of distinct ids"
wrong 2 "none.yaml" none.yaml
wrong 2 "tables.goods would have 2000000000 rows; a table holds 1073741824 at most" run.yaml --ids goods=2000M
"$dips" plan run.yaml --ids goods=2000M tables.goods.evict.max_bytes=10T >/dev/null ||
    fail "eviction does not bound the rows"

# A table that no feature names has no ids to share.
cat >unused.yaml <<'END'
tables: {goods: {dim: 8}, unused: {dim: 8}}
features: {goods: {table: goods}}
model: {kind: base, profile: [goods], mlp: {units: [4]}}
END
timeout 20 "$dips" plan unused.yaml --ids 3M --json | grep -q '"name":"unused","ids":0,"rows":0' ||
    fail "ids for a table that is not used"
say "ok"
