#!/usr/bin/env bash
# ml-1m.sh RATINGS MOVIES [key=value ...] - Base and DIN on MovieLens-1M with three seeds each, as in
# section 6.1 of DIN (label = rating >= 4, users split), and DIN once more on two servers and two
# workers. Needs the build of quickstart.sh. RATINGS and MOVIES: ratings.dat, movies.dat (or .gz).
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: launch/ml-1m.sh RATINGS MOVIES [key=value ...]" >&2; exit 2; }
ratings=$(realpath "$1") movies=$(realpath "$2")
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dips=${DIPS:-$PWD/build/dips}

[ -f data/ml-1m/counts.safetensors ] ||
    "$dips" prepare movielens --ratings "$ratings" --movies "$movies" --split user --max-len 50 --out data/ml-1m
runs=
for model in base din; do
    for seed in 1 2 3; do
        "$dips" train configs/ml-1m-$model.yaml --run runs/ml-1m-$model-$seed train.seed=$seed "$@"
        runs="$runs runs/ml-1m-$model-$seed"
    done
done
"$dips" train configs/ml-1m-din.yaml --run runs/ml-1m-din-2x2 cluster.servers=2 cluster.workers=2 "$@"
"$dips" report $runs runs/ml-1m-din-2x2 --out runs/ml-1m.html
for model in base din; do
    for seed in 1 2 3; do
        grep '"event": *"eval"' runs/ml-1m-$model-$seed/metrics.jsonl | tail -n 1
    done | sed 's/.*"auc": *\([0-9.]*\).*/\1/' |
        awk -v m=$model '{s += $1; if (NR == 1 || $1 < lo) lo = $1; if ($1 > hi) hi = $1}
            END {printf "%-5s mean test AUC of %d seeds %.4f (%.4f to %.4f)\n", m, NR, s / NR, lo, hi}'
done
