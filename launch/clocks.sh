#!/usr/bin/env bash
# clocks.sh [RATINGS MOVIES] [key=value ...] - what waiting costs and staleness does: DIN on two servers
# and two workers, sync, pipelined with pulls 1, 2 and 4 steps ahead, and async. One pass over 800,000
# invented samples; with MovieLens-1M's ratings.dat and movies.dat (or .gz) two over those as well.
# Needs the build of quickstart.sh. Runs are kept in runs/clock-*.
set -euo pipefail
ratings= movies=
if [ $# -ge 2 ] && [ -f "$1" ]; then
    ratings=$(realpath "$1") movies=$(realpath "$2")
    shift 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dips=${DIPS:-$PWD/build/dips}

# clocks NAME WORDS...: train what the words say by each clock, and compare.
clocks() {
    local name=$1 runs= clock
    shift
    for clock in sync,0 pipelined,1 pipelined,2 pipelined,4 async,1; do
        "$dips" train "$@" --run runs/clock-$name-${clock/,/-} cluster.servers=2 cluster.workers=2 \
            train.mode=${clock%,*} train.staleness=${clock#*,} >&2
        runs="$runs runs/clock-$name-${clock/,/-}"
    done
    "$dips" report $runs --out runs/clocks-$name.html | sed '/^what differs/,$d'
}

[ -f data/clocks/world.json ] ||
    "$dips" prepare synthetic --samples 800000 --seed 1 --out data/clocks >&2
clocks world configs/quickstart-din.yaml train.epochs=1 'data.train=data/clocks/train-*.safetensors' \
    'data.test=data/clocks/test-*.safetensors' "$@"
[ -n "$ratings" ] || exit 0
[ -f data/ml-1m/counts.safetensors ] ||
    "$dips" prepare movielens --ratings "$ratings" --movies "$movies" --split user --max-len 50 --out data/ml-1m >&2
clocks ml-1m configs/ml-1m-din.yaml "$@"
