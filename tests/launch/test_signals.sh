# Ctrl-C and kill end a job in good order: a last checkpoint, a sentence, nothing left behind.
. "$(dirname "${BASH_SOURCE[0]}")/job_lib.sh"
make_world

# start [words]: a job that works, in "the run".
start() {
    rm -rf "the run"
    "$dips" train run.yaml --run "the run" train.epochs=100000 \
        checkpoint.every=0 "$@" >out 2>err &
    job=$!
    wait_until 20 has_step "the run"
}

# ended CLAIM STATUS
ended() {
    wait_until 10 is_ended $job || kill -KILL $job
    wait $job 2>/dev/null
    check "$1: status $2" is $? "$2"
    check "$1: nothing is left" nothing_left $job "the run"
}

wrote_last_checkpoint() { [ "$(ls "the run/checkpoints" | grep -c step-)" = 1 ]; }
goes_on() {
    local step
    step=$(ls "the run/checkpoints" | sed 's/step-0*//')
    "$dips" train run.yaml --run "the run" train.steps=$((step + 20)) >out 2>err &&
        says err "going on from checkpoint"
}

for cluster in "servers=0" "servers=2 workers=2" "servers=0 workers=3"; do
    words=$(printf 'cluster.%s ' $cluster)
    case $cluster in *workers*) need_mpirun ;; esac
    start $words
    kill -INT $job
    ended "$cluster: SIGINT" 130
    check "$cluster: SIGINT: a last checkpoint" wrote_last_checkpoint
    check "$cluster: SIGINT: one sentence says so" says err "^dips: .*signal; checkpoint of step"
    check "$cluster: the run goes on from it" goes_on
    start $words
    kill -TERM $job
    ended "$cluster: SIGTERM" 143
    check "$cluster: SIGTERM: a last checkpoint" wrote_last_checkpoint
done

start cluster.servers=2 cluster.workers=2
kill -TERM "$(pgrep -P "$(pgrep -P $job -x mpirun)" | tail -n 1)"
ended "SIGTERM to a worker" 143
check "SIGTERM to a worker: a last checkpoint" wrote_last_checkpoint

start cluster.servers=2 cluster.workers=2
kill -STOP "$(pgrep -P $job -f -- '--index 0$')" # the last checkpoint cannot be written
kill -INT $job
sleep 0.5
kill -INT $job
begun=$(date +%s%N)
ended "a second signal" 130
check "a second signal ends at once" test $((($(date +%s%N) - begun) / 1000000)) -lt 3000
finish
