# 200 jobs of two servers and two workers, one after the other, each begun, trained and ended: none
# hangs, none leaves a process, a socket, a folder or shared memory behind. (As many as a third word
# says.)
. "$(dirname "${BASH_SOURCE[0]}")/job_lib.sh"
need_mpirun
make_world

hung=0 failed=0 left=0
cycles=${3:-200}
for cycle in $(seq $cycles); do
    rm -rf "the run"
    timeout -s KILL 60 "$dips" train run.yaml --run "the run" train.steps=3 cluster.servers=2 \
        cluster.workers=2 >out 2>err &
    timer=$!
    wait_until 5 eval 'job=$(pgrep -P $timer)'
    wait $timer
    case $? in
    0) ;;
    137) hung=$((hung + 1)) ;;
    *) failed=$((failed + 1)) && cat err ;;
    esac
    nothing_left $job "the run" || left=$((left + 1))
done
echo "$cycles cycles: $hung hung, $failed failed, $left left something"
check "no cycle hangs" is $hung 0
check "no cycle fails" is $failed 0
check "no cycle leaves anything" is $left 0
finish
