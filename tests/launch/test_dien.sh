#!/usr/bin/env bash
# DIEN on two servers and two workers: bits that do not depend on the servers, resumed as never
# stopped, numbers that do not depend on the workers, and an auxiliary loss that is shown.
. "$(dirname "$0")/lib.sh"
world data --world drift --negatives popularity --lengths uniform
cat >run.yaml <<'YAML'
tables:
  goods: {dim: 6, optimizer: sgd, lr: 0.1, init: {scale: 0.1}}
  cate:  {dim: 4, optimizer: sgd, lr: 0.1, init: {scale: 0.1}}
  user:  {dim: 5, optimizer: sgd, lr: 0.1, init: {scale: 0.1}}
features:
  user:    {table: user}
  goods:   {table: goods}
  cate:    {table: cate}
  history:
    columns: {goods: {table: goods}, cate: {table: cate},
              negative_goods: {table: goods}, negative_cate: {table: cate}}
    max_len: 20
model:
  kind: dien
  profile: [user]
  candidate: [goods, cate]
  history: history
  auxiliary: {units: [8], mean_over: events, negatives: [negative_goods, negative_cate]}
  mlp: {units: [12, 6], activation: dice}
data:  {train: [data/train-*.safetensors], test: [data/test-*.safetensors]}
train: {batch: 32, seed: 7}
dense: {optimizer: sgd, lr: 0.05}
dice:  {sync: true}
YAML
at() { cut_at "$1" 40; }

say "servers, and a stop"
train alone train.steps=40
train both train.steps=40 cluster.servers=2 cluster.workers=2
train other train.steps=40 cluster.servers=1 cluster.workers=2
same "$(at both)" "$(at other)"
train halted train.steps=23 cluster.servers=2 cluster.workers=2
resume halted train.steps=40 cluster.servers=2 cluster.workers=2
same "$(at halted)" "$(at both)"

say "workers"
bound=$(by_build "--largest 1e-9" "--norm 1e-5")
python3 "$source/tests/launch/compare.py" "$(at both)" "$(at alone)" $bound ||
    fail "two workers and one differ"

say "step lines show the auxiliary loss apart"
python3 - both/metrics.jsonl <<'PY' || fail "no auxiliary loss that falls"
import json, sys
seen = [x["auxiliary"] for x in map(json.loads, open(sys.argv[1])) if x["event"] == "step"]
assert len(seen) == 40 and 0 < sum(seen[-5:]) < sum(seen[:5]) < 5 * 1.6, seen
PY

say "predictions need no negatives"
world bare --world drift --negatives none --lengths uniform
"$dips" predict run.yaml --checkpoint "$(at both)" --out with.safetensors >/dev/null
"$dips" predict run.yaml --checkpoint "$(at both)" --out without.safetensors data.test=bare/test-*.safetensors >/dev/null
cmp with.safetensors without.safetensors || fail "predictions depend on negatives"
! "$dips" train run.yaml --run bare-run train.steps=1 data.train=bare/train-*.safetensors 2>bare.err ||
    fail "trained without negatives"
grep -q "no tensor history.negative_goods" bare.err || fail "no word about negatives: $(cat bare.err)"

say "a plan rehearses a step without workers"
"$dips" plan run.yaml >plan.txt 2>&1 || fail "plan: $(cat plan.txt)"
