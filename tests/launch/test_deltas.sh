#!/usr/bin/env bash
# Checkpoints between the full ones hold what changed: a run gone on with from one of them has the
# same bits as one that never stopped, on any number of servers, and nothing is removed that a
# kept one stands upon.
. "$(dirname "$0")/lib.sh"
world data --users 2000 --goods 6000 --samples 9600
run_file run.yaml data

# ids earn their rows, and rows leave, for every reason (test_rows_leave.sh)
rules=(
    "tables.goods.admit={min_count: 2, counter: exact}" tables.goods.evict.max_bytes=1220K
    "tables.cate.evict={idle_steps: 3, min_norm: 0.05}" tables.cate.penalty.kind=none
    "tables.user.admit={min_count: 3, counter: sketch, expected_ids: 3K}"
    tables.user.evict.idle_days=1
)
full=("${rules[@]}" "checkpoint.every=80 steps")
deltas=("${full[@]}" "checkpoint.delta_every=20 steps")

# parent FOLDER STEP: the step that the checkpoint stands upon, or None.
parent() {
    python3 - "$(cut_at "$1" "$2")/manifest.json" <<'END'
import json, sys
parent = json.load(open(sys.argv[1]))["parent"]
print(parent and parent["step"])
END
}
steps_in() { ls "$1/checkpoints" | sed 's/step-0*//' | tr '\n' ' '; }

train whole train.steps=200 "${full[@]}" checkpoint.keep=100
train chain train.steps=200 "${deltas[@]}" checkpoint.keep=100

say "a full one every 80 steps and at the end, deltas between, each upon the one before"
[ "$(steps_in chain)" = "20 40 60 80 100 120 140 160 180 200 " ] || fail "$(steps_in chain)"
for step in 20 80 160 200; do
    [ "$(parent chain $step)" = None ] || fail "$step stands upon $(parent chain $step)"
done
for step in 40 60 100 120 140 180; do
    [ "$(parent chain $step)" = $((step - 20)) ] || fail "$step stands upon $(parent chain $step)"
done
for step in 80 160 200; do
    same "$(cut_at chain $step)" "$(cut_at whole $step)"
done

say "gone on with from a delta upon deltas, on other numbers of servers"
for servers in 0 3; do
    rm -rf back
    cp -r chain back
    rm -r "$(cut_at back 160)" "$(cut_at back 180)" "$(cut_at back 200)"
    resume back train.steps=200 "${deltas[@]}" checkpoint.keep=100 cluster.servers=$servers
    same "$(cut_at back 200)" "$(cut_at whole 200)"
    same "$(cut_at back 160)" "$(cut_at whole 160)"
done

say "a delta says what a full one would"
train stopped train.steps=140 "${full[@]}"
rm -rf folded
"$dips" checkpoint compact "$(cut_at chain 140)" folded >compact.out 2>&1 || fail "$(cat compact.out)"
same folded "$(cut_at stopped 140)"
"$dips" eval run.yaml --checkpoint "$(cut_at chain 140)" --json 'data.test=[data/test-*.safetensors]' \
    "${rules[@]}" >delta.json 2>eval.err || fail "$(cat eval.err)"
"$dips" eval run.yaml --checkpoint "$(cut_at stopped 140)" --json 'data.test=[data/test-*.safetensors]' \
    "${rules[@]}" >full.json 2>eval.err || fail "$(cat eval.err)"
cmp delta.json full.json || fail "another evaluation: $(cat delta.json full.json)"

say "recall and init.from take from a delta what they take from a full one"
for from in "$(cut_at chain 140)" "$(cut_at stopped 140)"; do
    python3 -c 'import random; random.seed(1); [print({"vector": [random.gauss(0, 1) for _ in range(6)]})
        for _ in range(20)]' | tr "'" '"' |
        "$dips" recall --checkpoint "$from" --table goods --k 50 >found.txt 2>recall.err || fail "$(cat recall.err)"
    [ ! -f found.first ] || cmp found.txt found.first || fail "recall finds something else in the delta"
    mv found.txt found.first
    rm -rf begun
    train begun train.steps=0 "init.from=$from" cluster.shards=3 "${rules[@]}"
    [ ! -d begun.first ] || same "$(cut_at begun 0)" "$(cut_at begun.first 0)"
    rm -rf begun.first
    mv begun begun.first
done
[ "$(grep -c '"product"' found.first)" = 20 ] || fail "$(cat found.first)"

say "what a kept one stands upon is kept, and goes with it"
train few train.steps=140 "${deltas[@]}" checkpoint.keep=1
[ "$(steps_in few)" = "140 " ] || fail "$(steps_in few)"
rm -rf few
cp -r chain few
rm -r "$(cut_at few 160)" "$(cut_at few 180)" "$(cut_at few 200)"
resume few train.steps=150 "${rules[@]}" "checkpoint.delta_every=5 steps" checkpoint.every=never \
    checkpoint.keep=2
[ "$(steps_in few)" = "80 100 120 140 145 150 " ] || fail "$(steps_in few)"

say "a chain with a link missing is no checkpoint to go on from, and says which"
rm -rf back
cp -r chain back
rm -r "$(cut_at back 160)" "$(cut_at back 180)" "$(cut_at back 200)" "$(cut_at back 100)"
status=0
"$dips" train run.yaml --run back train.steps=200 "${deltas[@]}" >back.out 2>back.err || status=$?
[ $status = 3 ] || fail "status $status, wanted 3: $(cat back.err)"
grep -q "stands upon step 100" back.err || fail "$(cat back.err)"
