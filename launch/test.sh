#!/usr/bin/env bash
# test.sh [ctest options] - installs what is missing, builds, and passes the quick tests: in floats
# as users run it, in doubles for the gradients, and under the address and undefined sanitizers.
# The long tests: launch/test.sh -L long
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. launch/install.sh

install_packages "$packages_to_build
$packages_to_test"
export DIPS_PEERS=$root/build-test/peers # programs of others that tests compare with
[ $# -gt 0 ] || set -- -LE long
for kind in float double sanitized; do
    case $kind in
    float) folder=build-test options= ;;
    double) folder=build-double options=-DDIPS_REAL=double ;;
    sanitized) folder=build-sanitized options="-DDIPS_SANITIZE=address,undefined -DDIPS_BENCH=OFF" ;;
    esac
    build "$folder" $options
    echo "== tests, $kind build"
    ctest --test-dir "$folder" --output-on-failure --no-tests=error "$@"
done
