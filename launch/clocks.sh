#!/usr/bin/env bash
# clocks.sh [RATINGS MOVIES] [key=value ...] - what waiting costs and staleness does: DIN on two servers
# and two workers, sync, pipelined with pulls 1, 2 and 4 steps ahead, and async. On the sample data of
# quickstart.sh, whose build it needs; with MovieLens-1M's ratings.dat and movies.dat (or .gz) on that
# as well. Runs are kept in runs/clock-*.
set -euo pipefail
ratings= movies=
if [ $# -ge 2 ] && [ -f "$1" ]; then
    ratings=$(realpath "$1") movies=$(realpath "$2")
    shift 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dips=${DIPS:-$PWD/build/dips}

[ -f data/quickstart/world.json ] ||
    "$dips" prepare synthetic --out data/quickstart --seed 1
worlds=quickstart
if [ -n "$ratings" ]; then
    [ -f data/ml-1m/counts.safetensors ] ||
        "$dips" prepare movielens --ratings "$ratings" --movies "$movies" --split user --max-len 50 --out data/ml-1m
    worlds="quickstart ml-1m"
fi
for world in $worlds; do
    for clock in sync,0 pipelined,1 pipelined,2 pipelined,4 async,1; do
        "$dips" train configs/$world-din.yaml --run runs/clock-$world-${clock/,/-} cluster.servers=2 \
            cluster.workers=2 train.mode=${clock%,*} train.staleness=${clock#*,} "$@" >&2
    done
    "$dips" report runs/clock-$world-{sync-0,pipelined-1,pipelined-2,pipelined-4,async-1} --out runs/clocks-$world.html |
        sed '/^what differs/,$d'
done
