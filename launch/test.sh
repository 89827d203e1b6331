#!/usr/bin/env bash
# test.sh - installs what is missing, builds, and passes the quick tests: in floats as users run it,
# in doubles for the gradients, and under the address and undefined sanitizers; then those that run
# several threads under the thread sanitizer.
# test.sh -L long, or any words for ctest - those tests alone, in floats.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. launch/install.sh

install_packages "$packages_to_build
$packages_to_test"
export DIPS_PEERS=$root/build-test/peers # programs of others that tests compare with

run_tests() { # run_tests FOLDER [ctest options]: two at a time, since many wait for deadlines
    echo "== tests in $1"
    ctest --test-dir "$1" --parallel 2 --output-on-failure --no-tests=error "${@:2}"
}

build build-test all
if [ $# -gt 0 ]; then
    run_tests build-test "$@"
    exit
fi
run_tests build-test -LE long
build build-double all -DDIPS_REAL=double -DDIPS_BENCH=OFF
run_tests build-double -LE long -E 'launch_test_(deaths|signals|start|report)'
build build-sanitized all -DDIPS_SANITIZE=address,undefined -DDIPS_BENCH=OFF
run_tests build-sanitized -LE long
build build-threads "common_test_net ps_test_server worker_test_pipeline launch_test_cluster_in_process" \
    -DDIPS_SANITIZE=thread -DDIPS_BENCH=OFF
run_tests build-threads -R '^(common_test_net|ps_test_server|worker_test_pipeline|launch_test_cluster_in_process)$'
