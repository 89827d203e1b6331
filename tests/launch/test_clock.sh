#!/usr/bin/env bash
# The three clocks: what is the same in which of them, a worker that is slow, a sample that
# makes gradients no numbers, and the times that are told.
. "$(dirname "$0")/lib.sh"
command -v mpirun >/dev/null || { say "skipped: mpirun is not installed"; exit 77; }
export ASAN_OPTIONS=detect_leaks=0 # Open MPI itself leaks on purpose
world data
run_file run.yaml data
two=(cluster.servers=2 cluster.workers=2 train.steps=150)
sync=(train.mode=sync)
pipelined=(train.mode=pipelined train.staleness=2)
async=(train.mode=async train.staleness=1)

# told FOLDER CODE: Python over the lines of metrics.jsonl; of(event) lists those of an event.
told() {
    python3 - "$@" <<'PY' || fail "$1/metrics.jsonl"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1] + "/metrics.jsonl")]
of = lambda event: [line for line in lines if line["event"] == event]
exec(sys.argv[2])
PY
}

say "pipelined: the same bits again, and on other servers"
train ahead "${two[@]}" "${pipelined[@]}"
train again "${two[@]}" "${pipelined[@]}" cluster.servers=1
same "$(cut_at again 150)" "$(cut_at ahead 150)"
train sync "${two[@]}" "${sync[@]}"
! python3 "$source/tests/launch/compare.py" "$(cut_at ahead 150)" "$(cut_at sync 150)" 2>/dev/null ||
    fail "staleness made no difference"

say "pipelined with a drain point after every step is sync"
train drained train.steps=6 "${pipelined[@]}" checkpoint.every='1 steps'
train plain train.steps=6 checkpoint.every='1 steps'
same "$(cut_at drained 6)" "$(cut_at plain 6)"

say "async: every step is trained"
train async "${two[@]}" "${async[@]}" train.eval_every='50 steps' data.test=[data/test-*.safetensors]
told async 'assert sum(s["samples"] for s in of("step")) == 150 * 32 and len(of("eval")) == 4'
told async 'assert of("summary")[0]["dropped_messages"] == 0'

say "one worker slowed tenfold"
trap 'touch slow-{sync,pipelined,async}.ended' EXIT
# pulses FOLDER: stop the second worker for nine tenths of the time, while it lives; how often
# is told in FOLDER.pulses.
pulses() {
    local worker= count=0
    while [ ! -e "$1.ended" ]; do
        [ -n "$worker" ] || worker=$(pgrep -f -- "^$dips worker .*--folder $1 " | tail -n 1 || true)
        [ -z "$worker" ] || ! kill -STOP "$worker" 2>/dev/null || count=$((count + 1))
        sleep 0.09
        [ -z "$worker" ] || kill -CONT "$worker" 2>/dev/null || true
        sleep 0.01
    done
    echo "$count" >"$1.pulses"
}
# slowed MODE EVEN: a run with a slow worker; EVEN is the one of that mode without.
slowed() {
    local -n words=$1
    rm -f "slow-$1.ended"
    pulses "slow-$1" &
    train "slow-$1" "${two[@]}" "${words[@]}"
    touch "slow-$1.ended"
    wait
    [ "$1" = async ] || same "$(cut_at "slow-$1" 150)" "$(cut_at "$2" 150)"
    say "  stopped $(cat "slow-$1.pulses") times"
    [ "$(cat "slow-$1.pulses")" -ge 10 ] || fail "nobody was slowed"
}
slowed sync sync
slowed pipelined ahead
slowed async async

say "a sample whose gradients are no numbers"
sed 's/^features:/&\n  price: {kind: float}/; s/profile: \[user\]/profile: [user, price]/' run.yaml >float.yaml
good=$(ls data/train-*.safetensors | head -1)
python3 "$source/tests/launch/spoil.py" "$good" float.safetensors add price F32 0.5
python3 "$source/tests/launch/spoil.py" float.safetensors nan.safetensors set price 200 nan
nan() {
    local folder=$1
    rm -rf "$folder"
    shift
    "$dips" train float.yaml --run "$folder" data.shuffle=false data.train=[nan.safetensors] \
        data.counts=data/counts.safetensors "${two[@]}" train.steps=12 "$@" >"$folder.out" 2>"$folder.err"
}
for mode in sync pipelined async; do
    declare -n words=$mode
    nan "nan-$mode" "${words[@]}" train.max_bad_steps=1 || fail "$mode: $(cat "nan-$mode.err")"
    told "nan-$mode" 'assert [s["step"] for s in of("step") if s["loss"] is None] == [7]'
    python3 - "$(cut_at "nan-$mode" 12)" "$source" <<'PY' || fail "$mode: something is no number"
import array, math, sys
sys.path.insert(0, sys.argv[2] + "/tests/launch")
import compare
for name, (dtype, data) in compare.read_checkpoint(sys.argv[1]).items():
    if dtype[0] == "F":
        assert all(map(math.isfinite, array.array(compare.CODES[dtype], bytes(data)))), name
PY
done
status=0
nan ended "${async[@]}" || status=$? # test_bad_input.sh ends a sync one
[ "$status" = 3 ] || fail "status $status, wanted 3: $(cat ended.err)"
grep -q "^dips: .*a gradient of step 7 is infinite or not a number" ended.err || fail "$(cat ended.err)"
nan nan-again "${pipelined[@]}" train.max_bad_steps=1 cluster.servers=1
same "$(cut_at nan-again 12)" "$(cut_at nan-pipelined 12)"

say "where the time goes"
phases='phases = [k for k in of("summary")[0] if k.split("_s")[0] in
    ("read", "rows", "forward", "backward", "push", "reduce", "update") and k.endswith("_s")]'
for run in sync ahead async; do
    told $run "$phases"'
s = of("summary")[0]
assert len(phases) == 7 and 0.5 * s["seconds"] < sum(s[p] for p in phases) <= 1.001 * s["seconds"], s
for key in phases + ["steps", "samples", "seconds", "versions_behind"]:
    assert abs(sum(t[key] for t in of("time")) - s[key]) < 1e-6 * (1 + s[key]), key'
done
# two epochs of 75 steps, and nothing is on its way at the end of one
told sync 'assert of("summary")[0]["staleness"] == 0 and of("summary")[0]["overlap"] < 0.2'
told ahead 'assert of("summary")[0]["versions_behind"] == 2 * (0 + 1 + 73 * 2) and of("summary")[0]["overlap"] > 0.2'
told async 'assert 0 < of("summary")[0]["staleness"] <= 2'
