#!/usr/bin/env bash
# Rubbish at the sockets of a whole job, coordinator and servers, while it trains: it ends
# with the bits of an undisturbed one, and tells how many messages it dropped.
. "$(dirname "$0")/lib.sh"
world data
run_file run.yaml data
words=(train.steps=3000 cluster.servers=2 cluster.workers=2)

train peace "${words[@]}"
rm -rf war
"$dips" train run.yaml --run war "${words[@]}" >war.out 2>war.err &
job=$!
python3 "$source/tests/launch/rubbish.py" $job 1 >rubbish.out &
rubbish=$!
wait $job || { cat war.err >&2; fail "the job ended with status $?"; }
wait $rubbish || fail "rubbish.py failed"
read -r connections messages <rubbish.out
say "$connections connections, $messages messages"
[ "$messages" -gt 20 ] || fail "hardly anything was sent"
same "$(cut_at war 3000)" "$(cut_at peace 3000)"
warnings=$(grep -c "warning:" war.err || true)
[ "$warnings" -lt 100 ] || fail "$warnings warnings in the log"
python3 - <<'PY' || fail "no message was counted"
import json
lines = [json.loads(line) for line in open("war/metrics.jsonl")]
dropped = [line["dropped_messages"] for line in lines if line["event"] == "summary"]
print("dropped by the shards:", dropped)
raise SystemExit(not dropped or dropped[-1] == 0)
PY
