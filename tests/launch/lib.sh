# lib.sh - what the scripts that run `dips` share. Sourced by them with their own $1 and $2.
#
# A script runs in a folder of its own, which may hold what an earlier run left there.
set -euo pipefail
dips=$1 source=$2
export OMPI_MCA_rmaps_base_oversubscribe=1

say() { printf '%s\n' "$*"; }

# fail WORDS...: the test has failed.
fail() {
    say "FAILED: $*" >&2
    exit 1
}

command -v python3 >/dev/null || { say "skipped: python3 is not here"; exit 77; }

# by_build DOUBLES FLOATS: the one that is for this build.
by_build() {
    case $("$dips" --version) in
    *double*) say "$1" ;;
    *) say "$2" ;;
    esac
}

# world FOLDER [flags]: a small world of samples.
world() {
    local folder=$1
    shift
    "$dips" prepare synthetic --out "$folder" --overwrite --users 60 --goods 150 --shops 12 --cates 8 \
        --history 6 --samples 2400 --test-samples 200 --seed 3 "$@" >/dev/null
}

# run_file FILE DATA: a small DIN over the world in DATA, every kind of state in it.
run_file() {
    cat >"$1" <<YAML
tables:
  goods: {dim: 6, optimizer: rowwise_adagrad, lr: 0.05, penalty: {kind: minibatch_aware, lambda: 0.1}, init: {scale: 0.1}}
  cate:  {dim: 4, optimizer: adam, lr: 0.01, init: {scale: 0.1}}
  user:  {dim: 5, optimizer: adagrad, lr: 0.05, init: {scale: 0.1}}
features:
  user:    {table: user}
  goods:   {table: goods}
  cate:    {table: cate}
  history: {columns: {goods: {table: goods}, cate: {table: cate}}, max_len: 20, keep: last}
model:
  kind: din
  profile: [user]
  candidate: [goods, cate]
  history: history
  attention: {score: mlp, parts: [q, k, q-k, q*k], units: [8], activation: dice, normalize: none}
  mlp: {units: [12, 6], activation: dice}
data:  {train: [$2/train-*.safetensors], counts: $2/counts.safetensors}
train: {batch: 32, seed: 7}
dense: {optimizer: adam, lr: 0.005}
dice:  {sync: true}
YAML
}

# train FOLDER [words]: train run.yaml into a run folder made anew.
train() {
    local folder=$1
    shift
    rm -rf "$folder"
    resume "$folder" "$@"
}

# resume FOLDER [words]: the same in the folder as it is.
resume() {
    local folder=$1
    shift
    "$dips" train run.yaml --run "$folder" "$@" >"$folder.out" 2>"$folder.err" || {
        local status=$?
        cat "$folder.err" >&2
        fail "dips train --run $folder $* ended with status $status"
    }
}

# cut_at FOLDER STEP: the folder of a checkpoint.
cut_at() { printf '%s/checkpoints/step-%012d' "$1" "$2"; }

# same A B: two checkpoints hold the same bits.
same() { python3 "$source/tests/launch/compare.py" "$1" "$2" || fail "$1 and $2 differ"; }
