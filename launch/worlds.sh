#!/usr/bin/env bash
# worlds.sh [key=value ...] - four invented worlds, in each of which a model sees what its simpler
# sibling cannot: DIEN where interests drift, DSIN where sessions matter, DSTN where ads compete
# on a page, AFM where few crosses matter. Both are trained with three seeds, and their test AUC
# stands beside the best that is possible. SEEDS="1 2 3" and WORLDS="drift sessions page crosses"
# say how often and which. Needs the build of quickstart.sh. Runs are kept in runs/world-*.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dips=${DIPS:-$PWD/build/dips}

# auc RUN: the last one on the test split.
auc() {
    sed -n 's/^{"event": *"eval".*"auc": *\([0-9.]*\).*/\1/p' "$1/metrics.jsonl" | tail -n 1
}

# learn WORLD MODEL WORD ...: train by the world's configuration and WORD, once for each seed;
# prints the AUCs.
learn() {
    local world=$1 model=$2 seed
    shift 2
    for seed in ${SEEDS:-1 2 3}; do
        "$dips" train configs/worlds/$world.yaml --run runs/world-$world-$model-$seed \
            train.seed=$seed "$@" >&2
        auc runs/world-$world-$model-$seed
    done
}

printf '%-9s %-15s %-24s %-15s %-24s %8s %7s\n' world sibling 'AUC of 3 seeds' model '' margin best
for world in ${WORLDS:-drift sessions page crosses}; do
    case $world in
    drift)    model=dien sibling=din word=model.kind=din ;;
    sessions) model=dsin sibling=din word=model.kind=din ;;
    page)     model=dstn sibling=dstn-none word=model.dstn.mode=none ;;
    crosses)  model=afm sibling=fm word=model.kind=fm ;;
    *)        echo "there is no world '$world'" >&2 && exit 2 ;;
    esac
    [ -f data/$world/world.json ] ||
        "$dips" prepare synthetic --world $world --seed 1 --out data/$world >&2
    less=$(learn $world $sibling $word "$@")
    more=$(learn $world $model "$@")
    best=$(sed -n 's/.*"auc":\([0-9.]*\).*/\1/p' data/$world/world.json)
    awk -v world=$world -v sibling=$sibling -v model=$model -v best="$best" \
        -v less="$(echo $less)" -v more="$(echo $more)" 'BEGIN {
            n = split(less, a, " "); split(more, b, " ")
            for (i = 1; i <= n; i++) {
                x = x sprintf("%.4f ", a[i]); y = y sprintf("%.4f ", b[i])
                sum += b[i] - a[i]
            }
            printf "%-9s %-15s %-24s %-15s %-24s %+8.4f %7.4f\n", world, sibling, x, model, y, sum / n, best
        }'
done
