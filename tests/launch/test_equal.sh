#!/usr/bin/env bash
# 50 synchronous steps on 1, 2 and 3 servers give the same bits; on 1, 2 and 4 workers the
# same numbers up to the order of float additions.
. "$(dirname "$0")/lib.sh"
world data
run_file run.yaml data
at() { cut_at "$1" 50; }

say "servers: embedded, 1, 2, 3"
train embedded train.steps=50
for servers in 1 2 3; do
    train servers-$servers train.steps=50 cluster.servers=$servers
    same "$(at servers-$servers)" "$(at embedded)"
done
train threads train.steps=50 cluster.servers=2 cluster.shards=2
same "$(at threads)" "$(at embedded)"

say "another number of shards after each checkpoint"
train resharded train.steps=10
moves=0
for shards in 3 8 5 1; do
    resume resharded train.steps=$((10 + 10 * ++moves)) cluster.servers=1 cluster.shards=$shards
done
same "$(at resharded)" "$(at embedded)"

train both train.steps=50 cluster.servers=1 cluster.workers=2
train other train.steps=50 cluster.servers=3 cluster.workers=2
same "$(at both)" "$(at other)"
train seed-8 train.steps=50 train.seed=8
! python3 "$source/tests/launch/compare.py" "$(at seed-8)" "$(at embedded)" 2>/dev/null ||
    fail "another seed made no difference"

# workers NAME BOUND X [words]: 2 and 4 workers agree with one within BOUND X.
workers() {
    local name=$1 bound=$2 limit=$3
    shift 3
    say "workers: $name"
    train "$name-1" train.steps=50 "$@"
    for workers in 2 4; do
        train "$name-$workers" train.steps=50 cluster.servers=1 cluster.workers=$workers "$@"
        python3 "$source/tests/launch/compare.py" "$(at "$name-$workers")" "$(at "$name-1")" $bound $limit ||
            fail "$workers workers and one differ: $name"
    done
}

sgd=(tables.goods.optimizer=sgd tables.cate.optimizer=sgd tables.user.optimizer=sgd dense.optimizer=sgd)
prelu=(model.attention.activation=prelu model.mlp.activation=prelu)
case $(by_build doubles floats) in
doubles)
    workers any-optimizer --largest 1e-9
    workers ftrl --largest 1e-9 tables.user.optimizer=ftrl tables.goods.optimizer=momentum dense.optimizer=adagrad
    ;;
*)
    workers sgd-dice --norm 1e-5 "${sgd[@]}"
    workers sgd-prelu --norm 1e-5 "${sgd[@]}" "${prelu[@]}"
    ;;
esac

say "workers with files of their own, one of them without a sample"
python3 "$source/tests/launch/spoil.py" data/train-00000.safetensors none.safetensors none
train files data.deal=files data.train=[data/train-00000.safetensors,none.safetensors] \
    data.counts=data/counts.safetensors train.epochs=1 cluster.workers=2
python3 - files/metrics.jsonl <<'PY' || fail "an epoch is not every sample once"
import json, sys
steps = [line for line in map(json.loads, open(sys.argv[1])) if line["event"] == "step"]
assert len(steps) == 150 and sum(step["samples"] for step in steps) == 2400, (len(steps), steps[-1])
PY
