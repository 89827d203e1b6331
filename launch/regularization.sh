#!/usr/bin/env bash
# regularization.sh - the counterpart of table 4 of DIN: Base on fine-grained ids without
# regularization, and with dropout, filter, L2, and mini-batch aware regularization. Needs the build
# of quickstart.sh. Prints the test AUC after each epoch; runs are kept in runs/regularization-*.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dips=${DIPS:-$PWD/build/dips}

[ -f data/fine-grained/world.json ] ||
    "$dips" prepare synthetic --world fine-grained --out data/fine-grained --seed 1
for kind in none dropout filter l2 mba; do
    "$dips" train configs/regularization/$kind.yaml --run runs/regularization-$kind "$@" >&2
done

printf '%-10s %8s %8s %8s   %s\n' 'AUC' 'epoch 1' '2' '3' 'samples/s'
for kind in none dropout filter l2 mba; do
    metrics=runs/regularization-$kind/metrics.jsonl
    printf '%-10s %8.4f %8.4f %8.4f   %.0f\n' "$kind" \
        $(sed -n 's/^{"event": *"eval".*"auc": *\([0-9.]*\).*/\1/p' "$metrics" | head -n 3) \
        "$(sed -n 's/^{"event": *"summary".*"samples_per_s": *\([0-9.]*\).*/\1/p' "$metrics" | tail -n 1)"
done
printf 'best possible: %.4f\n' "$(sed -n 's/.*"auc":\([0-9.]*\).*/\1/p' data/fine-grained/world.json)"
