#!/usr/bin/env bash
# Stopped and resumed is the same as never stopped, bit for bit, on any number of servers.
. "$(dirname "$0")/lib.sh"
world data
run_file run.yaml data

train whole train.steps=60 checkpoint.every='25 steps'

say "stopped at its end of steps, between two checkpoints"
train stopped train.steps=37
resume stopped train.steps=60
same "$(cut_at stopped 60)" "$(cut_at whole 60)"

say "stopped several times, at an epoch's end too (75 steps an epoch)"
train epochs train.steps=110
train pieces train.steps=1
for steps in 2 75 76 110; do
    resume pieces train.steps=$steps
done
same "$(cut_at pieces 110)" "$(cut_at epochs 110)"

say "gone on from a checkpoint of 1 server on 3, and then in one process"
train moved train.steps=20 cluster.servers=1
resume moved train.steps=40 cluster.servers=3
resume moved train.steps=60 cluster.servers=0
same "$(cut_at moved 60)" "$(cut_at whole 60)"

say "pipelined: stopped at a planned checkpoint, where the pipeline is empty"
pipelined=(train.mode=pipelined train.staleness=2 checkpoint.every='20 steps')
train ahead train.steps=60 "${pipelined[@]}"
train halted train.steps=40 "${pipelined[@]}"
resume halted train.steps=60 "${pipelined[@]}" cluster.servers=2
same "$(cut_at halted 60)" "$(cut_at ahead 60)"

say "an old checkpoint that cannot be removed stays, with a warning"
train kept train.steps=5 checkpoint.keep=1
mkdir "$(cut_at kept 5)/of-somebody-else"
resume kept train.steps=10 checkpoint.keep=1
grep -q "warning: an old checkpoint stays: .*of-somebody-else" kept.err || fail "no warning: $(cat kept.err)"
[ -f "$(cut_at kept 10)/manifest.json" ] || fail "the checkpoint of step 10 is not there"

say "another batch goes on at another place of the data, with a warning"
resume kept train.steps=11
! grep -q train.batch kept.err || fail "the same batch is warned of: $(cat kept.err)"
resume kept train.steps=12 train.batch=8
grep -q "warning: .*was made with train.batch .*, this run has 8" kept.err ||
    fail "no warning: $(cat kept.err)"

say "stopped by a signal"
train long train.steps=3000
rm -rf signalled
"$dips" train run.yaml --run signalled train.steps=3000 >signalled.out 2>signalled.err &
job=$!
for _ in $(seq 300); do
    grep -qs '"step":20[,}]' signalled/metrics.jsonl && break
    sleep 0.02
done
kill -TERM $job
status=0
wait $job || status=$?
[ $status = 143 ] || fail "after SIGTERM the status is $status, wanted 143: $(cat signalled.err)"
[ ! -d "$(cut_at signalled 3000)" ] || fail "the signal came after the last step"
resume signalled train.steps=3000
same "$(cut_at signalled 3000)" "$(cut_at long 3000)"
