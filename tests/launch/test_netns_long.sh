# Three hosts of which one is cut off for some seconds: the run returns to its checkpoint until
# the host is back, and ends with the bits of an undisturbed one.
. "$(dirname "$0")/job_lib.sh"
need_mpirun
. "$source_folder/tests/launch/three_hosts.sh"
make_world
printf 'h%d slots=1\n' 1 2 3 >hosts
words=(cluster.servers=3 cluster.workers=3 train.epochs=100000 train.steps=2000 checkpoint.every="20 steps"
    checkpoint.keep=1000000)
away=(cluster.hostfile=hosts cluster.interface=eth0)


"$dips" train run.yaml --run one "${words[@]}" >one.out 2>one.err
check "one host trains" is $? 0
for seconds in 4 6 9; do
    run=back$seconds
    on h1 "$dips" train run.yaml --run $run "${words[@]}" "${away[@]}" cluster.max_restarts=50 \
        >$run.out 2>$run.err &
    job=$!
    wait_until 30 test -e $run/checkpoints/step-000000000020/manifest.json
    cut_off h3
    sleep $seconds
    let_back h3
    wait $job
    check "a host that was away for $seconds s is taken in again" is $? 0
    check "after a return" says $run/metrics.jsonl '"event":"restart"'
    check "with the same bits" python3 "$source_folder/tests/launch/compare.py" \
        one/checkpoints/step-000000002000 $run/checkpoints/step-000000002000
    grep "training goes on" $run.err
done
finish
