#!/usr/bin/env bash
# models.sh RATINGS MOVIES [key=value ...] - all models on MovieLens-1M, each by its
# configs/ml-1m-MODEL.yaml, and a table of them: the test's AUC, GAUC and log loss after training,
# samples/s of training, and the seconds of the whole run with its evaluations. Needs the build of
# quickstart.sh. RATINGS and MOVIES: ratings.dat, movies.dat (or .gz).
#
# MODELS="lr fm ..." says which, SEED=N which seed; RUNS=DIR where runs are kept. Two workers, a core
# each, unless the words key=value say otherwise. With CHOOSE=1 a sixth of the users who train are held
# out, and the table is theirs: settings are chosen by them, never by the test.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: launch/models.sh RATINGS MOVIES [key=value ...]" >&2; exit 2; }
ratings=$(realpath "$1") movies=$(realpath "$2")
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dips=${DIPS:-$PWD/build/dips}
data=data/ml-1m tested=test held_out=0 runs=${RUNS:-runs} seed=${SEED:-1}
[ -z "${CHOOSE:-}" ] || { data=data/ml-1m-choose tested=valid held_out=0.12 runs=$runs/choose; }

# What all models read: DIEN's negatives and DSTN's lists besides.
head -c 65536 $data/train-00000.safetensors 2>/dev/null | grep -aq contextual.movie ||
    "$dips" prepare movielens --ratings "$ratings" --movies "$movies" --split user --max-len 50 \
        --negatives uniform --auxiliary 25 --valid-users $held_out --overwrite --out $data >&2

# of RUN EVENT KEY: a number of the last such line of metrics.jsonl.
of() { grep "^{\"event\":\"$2\"" "$1/metrics.jsonl" | tail -n 1 | sed "s/.*\"$3\":\([-0-9.e+]*\).*/\1/"; }

printf '%-5s %8s %8s %9s %7s %10s %8s\n' model AUC GAUC 'log loss' epochs samples/s seconds
for model in ${MODELS:-lr fm afm base din dien dsin dstn}; do
    run=$runs/model-$model-$seed
    since=$SECONDS
    "$dips" train configs/ml-1m-$model.yaml --run $run train.seed=$seed cluster.workers=2 \
        "data.train=$data/train-*.safetensors" "data.test=$data/$tested-*.safetensors" "$@" >&2
    [ -f $run/seconds ] || echo $((SECONDS - since)) >$run/seconds # a second call trains nothing
    printf '%-5s %8.4f %8.4f %9.4f %7.2g %10.0f %8d\n' $model "$(of $run eval auc)" "$(of $run eval gauc)" \
        "$(of $run eval logloss)" "$(of $run step epoch)" \
        "$(awk "BEGIN {print $(of $run summary samples) / $(of $run summary seconds)}")" "$(cat $run/seconds)"
done
