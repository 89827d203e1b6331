# Three hosts, each with a server and a worker: the same bits as on one, closed to others; a
# host that is cut off is missed by name, and the next run goes on when it is back.
. "$(dirname "$0")/job_lib.sh"
need_mpirun
. "$source_folder/tests/launch/three_hosts.sh"
make_world
printf 'h%d slots=1\n' 1 2 3 >hosts
words=(cluster.servers=3 cluster.workers=3 train.epochs=3 checkpoint.every="20 steps"
    checkpoint.keep=1000000)
away=(cluster.hostfile=hosts cluster.interface=eth0)

same() {
    python3 "$source_folder/tests/launch/compare.py" "$1/checkpoints/step-000000000060" \
        "$2/checkpoints/step-000000000060" >same.out 2>&1 || { sed 's/^/        /' same.out; false; }
}

"$dips" train run.yaml --run one "${words[@]}" >one.out 2>one.err
check "one host trains" is $? 0
on h1 "$dips" train run.yaml --run three "${words[@]}" "${away[@]}" >three.out 2>three.err
check "three hosts train" is $? 0
check "the same bits" same three one

program=$(realpath "$dips")

# roles_on HOST: the servers and workers that run there.
roles_on() {
    on "$1" sh -c 'cat /proc/[0-9]*/cmdline | tr "\0" "\n"' | grep -x -A1 "$program" |
        grep -x -e server -e worker | sort | xargs
}
nobody_on() { [ -z "$(roles_on "$1")" ]; }

# listeners_of HOST: where its server listens.
listeners_of() {
    local server
    server=$(on "$1" pgrep -f "dips server")
    on "$1" ss -tlnpH | grep "pid=$server," | awk '{ sub(/:[0-9]+$/, "", $4); print $4 }' | xargs
}

# A host that is cut off ends the job, if that is wanted so.
on h1 "$dips" train run.yaml --run cut "${words[@]}" "${away[@]}" train.epochs=100000 \
    cluster.max_restarts=0 >cut.out 2>cut.err &
job=$!
wait_until 30 test -e cut/checkpoints/step-000000000020/manifest.json
for host in h2 h3; do
    check "$host has a server and a worker" is "$(roles_on $host)" "server worker"
done
check "the run is closed" test -s cut/key
check "a server listens at the interface alone" is "$(listeners_of h2)" 10.73.0.2
cut_off h3
since=$SECONDS
wait $job
check "a host that is cut off ends the job: status 4" is $? 4
check "within 13 s" test $((SECONDS - since)) -le 13
check "it is named" says cut.err "^dips: .*(host h3, process"
check "nobody is left on h1" wait_until 5 nobody_on h1
check "nobody is left on h2" wait_until 5 nobody_on h2
check "those who are cut off end by themselves" wait_until 10 nobody_on h3
check "nothing is left in the folder" is "$(ls -d cut/key cut/session cut/lock 2>/dev/null)" ""
let_back h3
steps=$(ls -d cut/checkpoints/step-* | sed 's/.*-0*//' | sort -n | tail -1)
on h1 "$dips" train run.yaml --run cut "${words[@]}" "${away[@]}" train.steps=$((steps + 40)) \
    train.epochs=100000 >cut.out 2>cut.err
check "the next run goes on when it is back" is $? 0
check "from the newest checkpoint" says cut.err "step $((steps + 40))/$((steps + 40))"
check "the same bits" same cut one

finish
