#!/usr/bin/env bash
# A checkpoint that the disk has no room for: training goes on with a warning and the last
# good one stays; where it was the last one, the exit status says so.
. "$(dirname "$0")/lib.sh"
if [ -z "${DIPS_SMALL_DISK:-}" ]; then # a mount of our own, which goes with us
    mkdir -p small
    DIPS_SMALL_DISK=1 unshare -rm true 2>/dev/null ||
        { say "skipped: no folder of limited size may be mounted here"; exit 77; }
    DIPS_SMALL_DISK=1 exec unshare -rm bash "$0" "$@"
fi
mount -t tmpfs -o size=1m tmpfs small || { say "skipped: tmpfs cannot be mounted here"; exit 77; }
world data
run_file run.yaml data
words=(--run run train.steps=2000 "checkpoint.dir=$PWD/small/checkpoints" "checkpoint.every=20 steps")
fill() { dd if=/dev/zero of=small/filler bs=1k 2>/dev/null || true; }
at() { printf 'small/checkpoints/step-%012d' "$1"; }

say "no room for the last one: status 5, and the one before stays"
rm -rf run
"$dips" train run.yaml "${words[@]}" train.steps=10 >out 2>err || fail "$(cat err)"
fill
status=0
"$dips" train run.yaml "${words[@]}" train.steps=15 checkpoint.every=0 >out 2>err || status=$?
[ $status = 5 ] || fail "status $status, wanted 5: $(cat err)"
tail -n 1 err | grep -q "^dips: .*step 15.*small/checkpoints.*No space left" ||
    fail "wanted a last sentence about the disk: $(cat err)"
"$dips" checkpoint verify "$(at 10)" >/dev/null || fail "the good checkpoint did not survive"

say "no room for those in between: a warning, and status 0"
"$dips" train run.yaml "${words[@]}" >out 2>err &
job=$!
for _ in $(seq 500); do
    grep -q "training goes on" err && break
    sleep 0.02
done
rm small/filler
wait $job || fail "training did not go on: $(cat err)"
grep -q "training goes on.*step 10$" err || fail "no warning: $(cat err)"
"$dips" checkpoint verify "$(at 2000)" >/dev/null
