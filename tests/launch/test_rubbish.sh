#!/usr/bin/env bash
# Rubbish at the sockets of a whole job, coordinator and servers, while it trains: it ends
# with the bits of an undisturbed one, and tells how many messages it dropped. A closed one
# drops none: they never come in.
. "$(dirname "$0")/lib.sh"
world data
run_file run.yaml data
words=(train.steps=3000 cluster.servers=2 cluster.workers=2)

train peace "${words[@]}"

# dropped FOLDER: how many messages the shards dropped.
dropped() {
    python3 - "$1" <<'PY'
import json, sys
lines = [json.loads(line) for line in open(f"{sys.argv[1]}/metrics.jsonl")]
print([line["dropped_messages"] for line in lines if line["event"] == "summary"][-1])
PY
}

for curve in off on; do
    rm -rf war
    "$dips" train run.yaml --run war "${words[@]}" cluster.curve=$curve >war.out 2>war.err &
    job=$!
    python3 "$source/tests/launch/rubbish.py" $job 1 >rubbish.out &
    rubbish=$!
    wait $job || { cat war.err >&2; fail "curve $curve: the job ended with status $?"; }
    wait $rubbish || fail "rubbish.py failed"
    read -r connections messages <rubbish.out
    dropped=$(dropped war)
    say "curve $curve: $connections connections, $messages messages, of which the shards dropped $dropped"
    [ "$connections" -gt 20 ] || fail "hardly anything was tried"
    same "$(cut_at war 3000)" "$(cut_at peace 3000)"
    warnings=$(grep -c "warning:" war.err || true)
    [ "$warnings" -lt 100 ] || fail "$warnings warnings in the log"
    if [ $curve = off ]; then
        [ "$messages" -gt 20 ] || fail "hardly anything was sent"
        [ "$dropped" -gt 0 ] || fail "no message was counted"
    else
        [ "$dropped" = 0 ] || fail "a closed shard heard a stranger"
        grep -q "a message is dropped" war.err war/logs/* && fail "a closed coordinator heard a stranger"
    fi
done
exit 0
