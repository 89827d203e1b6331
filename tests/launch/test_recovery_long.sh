# Every process of a run, killed and frozen at every moment: a table of what became of it. A third
# word names a part of it alone, as a pattern: "KILL starting", "STOP *", modes, "storm 3", returns.
. "$(dirname "${BASH_SOURCE[0]}")/moments.sh"
undisturbed whole
part=${3:-*}
is_wanted() { [[ $1 == $part ]]; }

table_head
for signal in KILL STOP; do
    for moment in starting "between steps" "in a pull" "in an all-reduce" "writing a checkpoint" \
        evaluating stopping; do
        is_wanted "$signal $moment" || continue
        for who in "server 0" "server 1" "worker 0" "worker 1" mpirun coordinator; do
            case_of "$who" $signal "$moment"
        done
    done
done
for moment in starting "between steps" "in a pull" "in an all-reduce" "writing a checkpoint" \
    evaluating stopping; do
    is_wanted "HANG $moment" || continue
    for who in "server 0" "server 1" "worker 0" "worker 1"; do
        case_of "$who" HANG "$moment"
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

modes() {
    for who in "server 1" "worker 1"; do
        again "pipelined, $who" "$who" "in a pull" train.mode=pipelined train.staleness=2
    done
    again "shards in worker 0, worker 0" "worker 0" "in a pull" cluster.servers=0
    again "three workers, server 0" "server 0" "in an all-reduce" cluster.workers=3
    echo localhost slots=8 >hosts
    for who in "server 1" "worker 1" mpirun; do
        again "servers behind launchers, $who" "$who" "in a pull" cluster.hostfile=hosts cluster.interface=lo
    done
}
if is_wanted modes; then modes; fi

# storm SEED: six deaths at times of their own, some of them while the run still returns.
storm() {
    RANDOM=$1
    rm -rf "the run"
    "$dips" train run.yaml --run "the run" $storm >out 2>err &
    job=$!
    wait_until 20 has_step "the run"
    for _ in 1 2 3 4 5 6; do
        sleep 0.$((RANDOM % 90 + 10))
        who=("server 0" "server 1" "worker 0" "worker 1" mpirun)
        find_process "${who[RANDOM % 5]}" && kill -KILL $victim 2>/dev/null
    done
    wait_until 60 is_ended $job || kill -KILL $job
    wait $job 2>/dev/null
    check "storm $1: status 0" is $? 0
    check "storm $1: the same bits, after $(grep -c restart "the run/metrics.jsonl") returns" \
        same_bits "the run/checkpoints/step-000000001200" calm/checkpoints/step-000000001200
    check "storm $1: nothing is left" nothing_left $job "the run"
}

storm="train.steps=1200 train.epochs=60 checkpoint.every=25steps cluster.servers=2 cluster.workers=2"
storm="$storm cluster.max_restarts=100 data.test=[]"
case $part in *storm* | "*") "$dips" train run.yaml --run calm $storm >out 2>err || cat err ;; esac
for seed in 1 2 3 4 5 6 7 8; do
    if is_wanted "storm $seed"; then storm $seed; fi
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
if is_wanted returns; then
    die_often 3
    check "returns are used up: status 4" is $status 4
    check "returns are used up: it says so" says err "^dips: server 1 .*cluster.max_restarts, 2, allows"
    check "returns are used up: nothing is left" nothing_left $job "the run"
fi
finish
