#!/usr/bin/env bash
# quickstart.sh - from a fresh clone to two trained models: installs what is missing, builds, makes
# sample data with several planted interests per user, trains Base and DIN on it in one process
# each, and compares them with the best that the data allows. What is done stays done.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. launch/install.sh

install_packages "$packages_to_build"
build build dips -DDIPS_TESTS=OFF
dips=$root/build/dips

if [ ! -f data/quickstart/world.json ]; then
    say "making sample data in data/quickstart"
    "$dips" prepare synthetic --out data/quickstart --seed 1
fi
for model in base din; do
    say "training $model in runs/quickstart-$model"
    "$dips" train configs/quickstart-$model.yaml --run runs/quickstart-$model
done
"$dips" report runs/quickstart-base runs/quickstart-din --out runs/quickstart.html

best() { sed -n "s/.*\"$1\":\\([0-9.]*\\).*/\\1/p" data/quickstart/world.json; }
printf 'best possible on this data: AUC %.4f, GAUC %.4f, log loss %.4f\n' \
    "$(best auc)" "$(best gauc)" "$(best logloss)"
