# Every process of a run, killed and frozen at every moment: a table of what became of it.
. "$(dirname "${BASH_SOURCE[0]}")/moments.sh"
undisturbed whole

table_head
for signal in KILL STOP; do
    for moment in starting "between steps" "in a pull" "in an all-reduce" "writing a checkpoint" \
        evaluating stopping; do
        for who in "server 0" "server 1" "worker 0" "worker 1" mpirun coordinator; do
            case_of "$who" $signal "$moment"
        done
    done
done
cat table

# again CLAIM WHO MOMENT [words]: on other clusters, and in other modes.
again() {
    local claim=$1 who=$2 moment=$3
    shift 3
    rm -rf other
    undisturbed other "$@"
    die "$who" KILL "$moment" "$@"
    check "$claim: status 0" is "$status" 0
    check "$claim: it had returned" returned
    check "$claim: the same bits" same_bits "$(last_of "the run")" "$(last_of other)"
    check "$claim: nothing is left" nothing_left $job "the run"
}

for who in "server 1" "worker 1"; do
    again "pipelined, $who" "$who" "in a pull" train.mode=pipelined train.staleness=2
done
again "shards in worker 0, worker 0" "worker 0" "in a pull" cluster.servers=0
again "three workers, server 0" "server 0" "in an all-reduce" cluster.workers=3
echo localhost slots=8 >hosts
for who in "server 1" "worker 1" mpirun; do
    again "servers behind launchers, $who" "$who" "in a pull" cluster.hostfile=hosts cluster.interface=lo
done

# The last return that is allowed, and one more.
die_often() {
    local left=$1
    rm -rf "the run"
    "$dips" train run.yaml --run "the run" $cluster train.steps=100000 train.epochs=100000 \
        cluster.max_restarts=2 >out 2>err &
    job=$!
    while [ $left -gt 0 ]; do
        wait_until 20 eval '[ $(grep -c restart "the run/metrics.jsonl") = $((3 - left)) ] && find_process "server 1"' 2>/dev/null
        sleep 0.5
        find_process "server 1" && kill -KILL $victim
        left=$((left - 1))
    done
    wait_until 20 is_ended $job || kill -KILL $job
    wait $job 2>/dev/null
    status=$?
}
die_often 3
check "returns are used up: status 4" is $status 4
check "returns are used up: it says so" says err "^dips: server 1 .*cluster.max_restarts, 2, allows"
check "returns are used up: nothing is left" nothing_left $job "the run"
finish
