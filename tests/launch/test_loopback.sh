# On one host no process of a run listens at anything that another host could reach.
. "$(dirname "$0")/job_lib.sh"
command -v ss >/dev/null || { echo "skipped: ss is not installed"; exit 77; }
make_world

# reachable FOLDER: sockets of the run's processes that listen beyond the loopback. mpirun itself
# is left out: its own port is at every interface, whatever it is told.
reachable() {
    for p in $(processes_of "$1"); do
        [ "$(cat "/proc/$p/comm")" = mpirun ] ||
            ss -tulnpH | grep "pid=$p," | grep -v -e ' 127\.0\.0\.1:' -e ' \[::1\]:'
    done
}

look() {
    local run=$1
    shift
    "$dips" train run.yaml --run $run train.epochs=100000 "$@" >$run.out 2>$run.err &
    job=$!
    wait_until 20 has_step $run
    check "$run: there are processes" test -n "$(processes_of $run)"
    check "$run: nothing is reachable" is "$(reachable $run)" ""
    kill -TERM $job
    wait $job
    check "$run: ends well" is $? 143
}

look embedded
need_mpirun
look alone cluster.servers=1
look cluster cluster.servers=2 cluster.workers=2
look threads cluster.workers=2
finish
