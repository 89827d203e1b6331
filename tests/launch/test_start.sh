# What keeps a job from beginning, each told in one sentence with its status; and who may begin one.
. "$(dirname "${BASH_SOURCE[0]}")/job_lib.sh"
make_world

# refused CLAIM STATUS PATTERN COMMAND...
refused() {
    local claim=$1 status=$2 pattern=$3
    shift 3
    timeout 30 "$@" >out 2>err &
    job=$!
    wait $job
    check "$claim: status $status" is $? "$status"
    check "$claim: one sentence" is "$(grep -c '^dips: ' err)" 1
    check "$claim: says what" says err "^dips: $pattern"
}

"$dips" train run.yaml --run held train.epochs=100000 >/dev/null 2>&1 &
holder=$!
wait_until 20 has_step held
refused "a folder that another job uses" 2 "the run folder held is used by another job (process $holder on" \
    "$dips" train run.yaml --run held
kill -KILL $holder
wait $holder 2>/dev/null
"$dips" train run.yaml --run held train.steps=0 >out 2>err
check "a lock that its holder left behind holds nobody up" is $? 0
"$dips" train run.yaml --run initial train.steps=0 >out 2>err
check "the initial state is announced" says err "checkpoint of step 0 in initial/checkpoints"
refused "--fresh" 2 "held has a run in it" "$dips" train run.yaml --run held --fresh
refused "no configuration" 2 "which configuration?" "$dips" train
refused "an index that the run does not have" 2 "--index 2: the run has 0 servers" \
    "$dips" server --coordinator ipc://@nobody-$$ --folder held --index 2
refused "no checkpoint" 3 "--checkpoint: data: neither a checkpoint" \
    "$dips" eval run.yaml --checkpoint data

python3 -c '
import socket, sys, time
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
print(s.getsockname()[1], flush=True)
time.sleep(60)' >port &
listener=$!
wait_until 10 test -s port
refused "a port that is taken" 5 ".*$(cat port).*in use" \
    "$dips" train run.yaml --run taken --attach --listen "127.0.0.1:$(cat port)" cluster.servers=1
kill $listener

mkdir empty
PATH="$room/empty" "$dips" train run.yaml --run lacking cluster.workers=2 >out 2>err
check "no mpirun: status 5" is $? 5
check "no mpirun: the package is named" says err "^dips: 2 workers need mpirun.*openmpi-bin"

need_mpirun
refused "bad data, found by all workers" 3 "data/counts.safetensors: no tensor label" \
    "$dips" train run.yaml --run bad 'data.train=[data/counts.safetensors]' cluster.servers=2 \
    cluster.workers=2
check "bad data: nothing is left" nothing_left $job bad
refused "a server that cannot begin" 3 ".*no-counts" \
    "$dips" train run.yaml --run bad2 data.counts=no-counts cluster.servers=2 cluster.workers=2
check "a server that cannot begin: nothing is left" nothing_left $job bad2
refused "an unknown key under a typed mpirun" 2 ".*unknown key cluster.serv" \
    mpirun --oversubscribe -n 3 "$dips" train run.yaml --run bad3 cluster.serv=1
refused "bad data under a typed mpirun" 3 "data/counts.safetensors: no tensor label" \
    mpirun --oversubscribe -n 2 "$dips" train run.yaml --run bad4 \
    'data.train=[data/counts.safetensors]' cluster.servers=1
mkdir fake
printf '#!/usr/bin/env python3\nimport time\ntime.sleep(60)\n' >fake/mpirun
chmod +x fake/mpirun
refused "workers that never come" 4 "worker 0 was not ready within cluster.start_timeout, 1 s" \
    env PATH="$room/fake:$PATH" "$dips" train run.yaml --run late cluster.servers=1 \
    cluster.workers=2 cluster.start_timeout=1

# As somebody else than root.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    home=$(mktemp -d /tmp/dips-test-XXXXXX)
    cp -r "$dips" data run.yaml "$home"
    chown -R 65534:65534 "$home"
    (cd "$home" && exec env -u OMPI_ALLOW_RUN_AS_ROOT -u OMPI_ALLOW_RUN_AS_ROOT_CONFIRM HOME="$home" \
        TMPDIR="$home" setpriv --reuid=65534 --regid=65534 --clear-groups ./dips train run.yaml \
        --run r cluster.servers=2 cluster.workers=2 >out 2>err)
    check "another user: status 0" is $? 0
    check "another user: trains" says "$home/err" "step 20/20"
    rm -rf "$home"
fi
finish
