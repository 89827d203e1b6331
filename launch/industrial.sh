#!/usr/bin/env bash
# industrial.sh [IDS [FOLDER]] [key=value ...] - a run over IDS distinct ids (200M), all of them
# touched: makes the data, asks `dips plan` what the run needs and takes bf16 where the machine has
# no room for floats, trains one epoch on 2 servers and a worker with checkpoints on the way, kills
# a server with SIGKILL, after which the run returns to its checkpoint and goes on, evaluates, and
# prints what was planned beside what was seen.
# What FOLDER (runs/industrial-IDS) holds of an earlier attempt is used again. Needs a build, about
# 17 bytes of disk an id for the data and 140 for two checkpoints.
set -euo pipefail
ids=200M
[ $# -eq 0 ] || { ids=$1 && shift; }
folder=runs/industrial-$ids
[ $# -eq 0 ] || [[ $1 == *=* ]] || { folder=$1 && shift; }
words=("$@")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dips=${DIPS:-$PWD/build/dips}
config=$PWD/configs/industrial.yaml

fail() { printf 'industrial.sh: %s\n' "$*" >&2 && exit 1; }
say() { printf '\n== %s\n' "$*"; }
number() { sed -n "s/.*\"$1\": *\\([-0-9.e+]*\\).*/\\1/p" "$2" | tail -n 1; }
case $ids in
*[!0-9KMG]* | '' | [KMG]*) fail "'$ids' is no number of ids, as in 200M" ;;
esac
total=$(numfmt --from=si "$ids") || fail "'$ids' is no number of ids, as in 200M"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
data=$folder/data

# ---- data: 195 new ids a sample, of which 98 are goods and 98 shops, all but a few of them once

samples=$((total / 195 + 1))
if [ ! -f "$data/world.json" ]; then
    say "data: $samples samples"
    began=$SECONDS
    "$dips" prepare synthetic --out "$data" --no-counts --samples $samples --test-samples 20000 \
        --users 10G --goods 1000G --shops 1000G --cates 200 --history 100 --max-len 200 --zipf 0 \
        --shard-samples 100000
    took=$((SECONDS - began))
    say "$(du -sm "$data" | cut -f1) MB in $took s"
fi
words=("data.train=$data/train-*.safetensors" "data.test=$data/test-*.safetensors" "${words[@]}")
steps=$((samples / 512))
half=$((steps / 2 + 1))
words+=("checkpoint.every=$half steps")
table_ids=user=$samples,goods=$((samples * 98)),shop=$((samples * 98)),cate=200

# ---- plan: floats where they fit into 80 % of the memory, else bf16

memory=$(awk '/MemAvailable/ {printf "%.0f", $2 * 1024 * 0.8}' /proc/meminfo)
plan() { "$dips" plan "$config" --ids $table_ids "$@" "${words[@]}"; }
planned() { number "$1" "$folder/plan.json"; }
needs() { plan --json >"$folder/plan.json" && echo $((2 * $(planned server_memory) + $(planned worker_memory))); }
if [ "$(needs)" -gt "$memory" ]; then
    words+=(tables.goods.precision=bf16 tables.shop.precision=bf16)
    [ "$(needs)" -le "$memory" ] || fail "$ids ids need $(needs) bytes of memory, there are $memory"
    say "floats do not fit into $memory bytes: goods and shop are bf16"
fi
train() { "$dips" train "$config" --run "$folder/$1" "${words[@]}" "${@:2}"; }

# How fast are steps? A few tell.
if [ ! -f "$folder/trial/metrics.jsonl" ]; then
    say "a trial of 40 steps"
    train trial train.steps=40 'checkpoint.every=never' data.test=[]
    rm -rf "$folder/trial/checkpoints"
fi
median() { sort -g | awk '{x[NR] = $1} END {print x[int((NR + 1) / 2)]}'; }
rate=$(sed -n 's/.*"event":"step".*"samples_per_s":\([0-9.]*\).*/\1/p' "$folder/trial/metrics.jsonl" |
    tail -n 30 | median)
say "the plan"
plan --samples-per-s "$rate" | tee "$folder/plan.txt"
plan --samples-per-s "$rate" --json >"$folder/plan.json"

# ---- train, watching the processes

# watch PID: resident memory of its servers and its worker in kB, all of it and without mapped files.
watch() {
    local pid role
    while kill -0 "$1" 2>/dev/null; do
        for pid in $(pgrep -f -- "--folder $folder/run" || true); do
            role=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null |
                sed -n 's/^[^ ]*dips server .*--index \([0-9]*\).*/server-\1/p; s/^[^ ]*dips worker .*/worker-0/p' |
                head -n 1)
            [ -z "$role" ] || awk '/VmRSS|RssAnon/ {printf "%d ", $2} END {print ""}' "/proc/$pid/status" \
                2>/dev/null >>"$folder/rss-$role" || true
        done
        sleep 0.5
    done
}
newest() { # the folder of the newest checkpoint, or nothing
    { ls "$folder"/run/checkpoints/step-*/manifest.json 2>/dev/null || true; } | tail -n 1 | xargs -r dirname
}

trained() {
    tail -n 1 "$folder/run/metrics.jsonl" 2>/dev/null | sed -n 's/.*"step":\([0-9]*\).*/\1/p' | grep . || echo 0
}

rm -f "$folder"/rss-*
going_on=$(newest)
say "training${going_on:+ from $(basename "$going_on")}"
began=$SECONDS
train run &
job=$!
trap 'kill $job 2>/dev/null || true' EXIT
watch $job &
if [ -z "$going_on" ]; then
    until [ -n "$(newest)" ] && [ "$(trained)" -gt $((half + half / 5)) ]; do
        kill -0 $job 2>/dev/null || break
        sleep 0.1
    done
    victim=$(pgrep -f -- "dips server .*--folder $folder/run" | head -n 1 || true)
    [ -n "$victim" ] || fail "there is no server to kill"
    kill -9 "$victim"
fi
wait $job
trap - EXIT
if [ -z "$going_on" ]; then
    grep -q '"event":"restart"' "$folder/run/metrics.jsonl" || fail "the run did not return to its checkpoint"
    say "server $victim was killed, and the run returned to the checkpoint of step $half"
fi
say "trained to the end in $((SECONDS - began)) s"

# ---- evaluate, and compare with the plan

say "evaluation of the last checkpoint"
"$dips" eval "$config" --checkpoint "$(newest)" "${words[@]}" cluster.servers=2 | tee "$folder/eval.txt"
printf 'best possible on this data: AUC %s\n' "$(number auc "$data/world.json")"

say "planned and seen"
line() {
    awk -v w="$1" -v p="$2" -v s="$3" \
        'BEGIN {printf "%-28s %18.0f %18.0f %+7.1f %%\n", w, p, s, 100 * (s / p - 1)}'
}
printf '%-28s %18s %18s\n' '' planned seen
metrics=$folder/run/metrics.jsonl
line "rows" "$(sed 's/^{"rows":\([0-9]*\).*/\1/' "$folder/plan.json")" "$(number rows "$metrics")"
line "bytes of all rows" "$(sed 's/.*"memory":\([0-9]*\),"server_memory".*/\1/' "$folder/plan.json")" \
    "$(number row_bytes "$metrics")"
most() { awk -v k="$2" '$k > m {m = $k} END {printf "%.0f", m * 1024}' "$folder/rss-$1"; }
for server in 0 1; do
    line "resident, server $server" "$(planned server_memory)" "$(most server-$server 1)"
done
line "resident, worker, but data" "$(planned worker_memory)" "$(most worker-0 2)"
line "bytes of a checkpoint" "$(planned checkpoint)" "$(cat "$(newest)"/*.safetensors | wc -c)"
step='s/.*"event":"step".*"samples":\([0-9]*\),.*"samples_per_s":\([0-9.]*\).*/\1 \2/p'
line "microseconds of a step" "$(awk -v s="$(planned step_s)" 'BEGIN {print 1e6 * s}')" \
    "$(sed -n "$step" "$metrics" | awk '{print 1e6 * $1 / $2}' | median)"
