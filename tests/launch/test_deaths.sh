# Where a run may not return to a checkpoint, a death of any process ends the whole job within 10
# seconds, with one sentence that names who died, and leaves nothing behind. With the word `long`:
# at many moments, and frozen as well as killed.
. "$(dirname "${BASH_SOURCE[0]}")/job_lib.sh"
need_mpirun
make_world

# death WHO SIGNAL WHEN: WHEN is "working" or seconds after the start.
death() {
    local who=$1 signal=$2 when=$3 begun status took
    local claim="$who, $signal, $when"
    rm -rf "the run"
    "$dips" train run.yaml --run "the run" train.epochs=100000 cluster.servers=2 cluster.workers=2 \
        cluster.max_restarts=0 >out 2>err &
    job=$!
    case $when in
    working) wait_until 20 has_step "the run" ;;
    *) sleep "$when" ;;
    esac
    wait_until 20 find_process "$who" || { check "$claim: is found" false; kill -KILL $job; return; }
    begun=$(date +%s%N)
    kill -"$signal" "$victim"
    wait_until 10 is_ended $job || kill -KILL $job
    wait $job 2>/dev/null
    status=$?
    wait_until 5 no_process_of "the run"
    took=$((($(date +%s%N) - begun) / 1000000))
    check "$claim: ended within 10 s ($took ms)" test $took -lt 10000
    if [ "$who" = coordinator ]; then
        check "$claim: the shell is told of a kill" is $status 137
    else
        check "$claim: status 4" is $status 4
    fi
    check "$claim: one sentence" is "$(grep -c '^dips: ' err)" 1
    check "$claim: it names who died" says err "^dips: .*$who (.*process $victim)"
    check "$claim: nothing is left" nothing_left $job "the run"
}

if [ "${3-}" = long ]; then
    for when in 0.2 0.3 0.4 0.5 0.6 0.8 1.2 working; do
        for who in coordinator watchdog mpirun "server 0" "server 1" "worker 0" "worker 1"; do
            death "$who" KILL $when
        done
    done
    for who in coordinator watchdog mpirun "server 1" "worker 0" "worker 1"; do
        death "$who" STOP working
    done
    for signal in SEGV ABRT TERM; do
        death "server 0" $signal working
    done
    death "worker 1" SEGV working
else
    for who in coordinator watchdog mpirun "server 1" "worker 0" "worker 1"; do
        death "$who" KILL working
    done
    death "server 0" KILL 0.3
    death "worker 1" KILL 0.3
    death "worker 1" STOP working
fi
finish
