#!/usr/bin/env bash
# Ten times the data, little, and none: every way to deal samples ends, and each of them is
# trained once in an epoch. Dealt as workers ask, a stopped run goes on as if it had not been.
. "$(dirname "$0")/lib.sh"
command -v mpirun >/dev/null || { say "skipped: mpirun is not installed"; exit 77; }
world data
world few --samples 240
run_file run.yaml data
python3 "$source/tests/launch/spoil.py" data/train-00000.safetensors none.safetensors none
files=data.train=[data/train-00000.safetensors,few/train-00000.safetensors,none.safetensors]

# counted FOLDER STEPS SAMPLES: what the run's steps add up to.
counted() {
    python3 - "$@" <<'PY' || fail "the steps of $1"
import json, sys
steps = [line for line in map(json.loads, open(sys.argv[1] + "/metrics.jsonl")) if line["event"] == "step"]
found = len(steps), sum(step["samples"] for step in steps)
assert found == (int(sys.argv[2]), int(sys.argv[3])), found
PY
}

say "files: the longest worker's steps, of 11 samples each"
train files "$files" data.deal=files cluster.workers=3
counted files 219 2640

say "rows, dynamic: steps of 32 samples, whoever has them"
train rows "$files" cluster.workers=3 train.epochs=2
counted rows 166 5280
small=(data.deal=dynamic data.block=16 data.window=8 cluster.workers=3)
train dynamic "$files" "${small[@]}" train.epochs=2
counted dynamic 166 5280
train again "$files" "${small[@]}" train.epochs=2 cluster.servers=2
same "$(cut_at again 166)" "$(cut_at dynamic 166)"

say "one block for all: whoever has none takes half of what another holds"
train halves data.deal=dynamic cluster.workers=4
counted halves 75 2400

say "dynamic: stopped within an epoch and gone on"
for steps in 30 31 100 166; do
    [ "$steps" = 30 ] && rm -rf stopped
    resume stopped "$files" "${small[@]}" train.steps=$steps
done
train whole "$files" "${small[@]}" train.steps=166
same "$(cut_at stopped 166)" "$(cut_at whole 166)"

say "dynamic: gone on with fewer workers, and with more"
train moved "$files" "${small[@]}" train.steps=30
grep -q '"held"' "$(cut_at moved 30)/manifest.json" || fail "the checkpoint does not say what is dealt"
resume moved "$files" "${small[@]}" cluster.workers=1 train.steps=50
resume moved "$files" "${small[@]}" cluster.workers=4 train.epochs=1
counted moved 83 2640
