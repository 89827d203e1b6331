#!/usr/bin/env bash
# train.precision: bf16 is said at the start, learns what fp32 learns, and has the same bits again: on
# two servers and two workers, stopped and resumed.
. "$(dirname "$0")/lib.sh"
command -v mpirun >/dev/null || { say "skipped: mpirun is not installed"; exit 77; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export ASAN_OPTIONS=detect_leaks=0 # Open MPI itself leaks on purpose
world data
run_file run.yaml data
words=(train.precision=bf16 model.attention.units=[16,8] cluster.servers=2 cluster.workers=2)

say "two servers, two workers: at once, and stopped and resumed"
train whole train.steps=40 "${words[@]}"
grep -q "products of training are in bf16, by " whole.err || fail "no word of bf16: $(cat whole.err)"
train stopped train.steps=23 "${words[@]}"
resume stopped train.steps=40 "${words[@]}"
same "$(cut_at stopped 40)" "$(cut_at whole 40)"

say "it is not what fp32 learns, but near"
train reals train.steps=40 "${words[@]}" train.precision=fp32
if python3 "$source/tests/launch/compare.py" "$(cut_at whole 40)" "$(cut_at reals 40)" >/dev/null 2>&1; then
    fail "bf16 and fp32 are the same"
fi
! grep -q "bf16" reals.err || fail "fp32 speaks of bf16: $(grep bf16 reals.err)"
python3 - whole reals <<'PY' || fail "the losses differ"
import json, sys
def losses(run):
    lines = map(json.loads, open(run + "/metrics.jsonl"))
    return [x["loss"] for x in lines if x["event"] == "step"]
a, b = losses(sys.argv[1]), losses(sys.argv[2])
assert len(a) == len(b) > 0
assert max(abs(x - y) for x, y in zip(a, b)) < 0.01, (a, b)
PY
