#!/usr/bin/env bash
# What the models learn: DIN closes at least half of the gap from Base to the best possible AUC, and
# rows in bf16 learn what rows in fp32 do; with fine-grained ids the test AUC falls after the first
# epoch, and with the mini-batch aware penalty it does not; on MovieLens-1M DIN beats Base over three
# seeds, and 2 x 2 processes agree with one.
set -euo pipefail
dips=$1 source=$2
shared=${DIPS_SHARED:-$source/../shared}
ln -sfn "$source/configs" configs

fail() { echo "FAILED: $*"; exit 1; }
aucs() { sed -n 's/^{"event":"eval".*"auc":\([0-9.]*\).*/\1/p' "$1/metrics.jsonl"; }
best() { sed -n 's/.*"auc":\([0-9.]*\).*/\1/p' "$1/world.json"; }
holds() { awk "BEGIN {exit !($1)}" || fail "$1"; }

[ -f data/quickstart/world.json ] || "$dips" prepare synthetic --out data/quickstart --seed 1
rm -rf runs
for model in base din; do
    "$dips" train "configs/quickstart-$model.yaml" --run "runs/$model" >/dev/null 2>&1
done
base=$(aucs runs/base | tail -n 1) din=$(aucs runs/din | tail -n 1) most=$(best data/quickstart)
echo "synthetic: Base $base, DIN $din, best possible $most"
holds "$din - $base >= ($most - $base) / 2"
"$dips" train configs/quickstart-din.yaml --run runs/bf16 tables.goods.precision=bf16 \
    tables.cate.precision=bf16 >/dev/null 2>&1
half=$(aucs runs/bf16 | tail -n 1)
echo "synthetic, DIN: rows in fp32 $din, in bf16 $half"
holds "$half - $din <= 0.002 && $din - $half <= 0.002"

[ -f data/fine-grained/world.json ] ||
    "$dips" prepare synthetic --world fine-grained --out data/fine-grained --seed 1
for kind in none mba; do
    "$dips" train "configs/regularization/$kind.yaml" --run "runs/$kind" >/dev/null 2>&1
    echo "fine-grained ids, $kind: test AUC after each epoch:" $(aucs "runs/$kind")
done
set -- $(aucs runs/none)
holds "$2 < $1 - 0.02 && $3 < $1 - 0.02"
set -- $(aucs runs/mba)
holds "$2 >= $1 && $3 >= $1"

if [ ! -f "$shared/data/ml-1m/ratings.dat.gz" ]; then
    echo "MovieLens-1M skipped: $shared/data/ml-1m is not here"
    exit 0
fi
[ -f data/ml-1m/counts.safetensors ] ||
    "$dips" prepare movielens --ratings "$shared/data/ml-1m/ratings.dat.gz" \
        --movies "$shared/data/ml-1m/movies.dat.gz" --split user --max-len 50 --out data/ml-1m
mean() { awk '{s += $1} END {print s / NR}'; }
for model in base din; do
    for seed in 1 2 3; do
        "$dips" train "configs/ml-1m-$model.yaml" --run "runs/ml-$model-$seed" train.seed=$seed \
            >/dev/null 2>&1
        aucs "runs/ml-$model-$seed" | tail -n 1
    done >"$model.aucs"
    echo "MovieLens-1M, $model, three seeds:" $(cat "$model.aucs")
done
holds "$(mean <din.aucs) > $(mean <base.aucs)"
"$dips" train configs/ml-1m-din.yaml --run runs/ml-2x2 cluster.servers=2 cluster.workers=2 >/dev/null 2>&1
many=$(aucs runs/ml-2x2 | tail -n 1) one=$(head -n 1 din.aucs)
echo "MovieLens-1M, DIN: one process $one, two servers and two workers $many"
holds "$many - $one <= 0.002 && $one - $many <= 0.002"
