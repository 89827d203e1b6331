# Three hosts of which one is cut off for good: an elastic run goes on without it, to its end; and
# takes it in again with the next return where it is back.
. "$(dirname "$0")/job_lib.sh"
need_mpirun
. "$source_folder/tests/launch/three_hosts.sh"
make_world
printf 'h%d slots=1\n' 1 2 3 >hosts
words=(cluster.servers=3 cluster.workers=3 train.epochs=100000 checkpoint.every="20 steps" checkpoint.keep=1000000
    cluster.hostfile=hosts cluster.interface=eth0 cluster.elastic=true)
program=$(realpath "$dips")

# roles_on HOST: the servers and workers that run there.
roles_on() {
    on "$1" sh -c 'cat /proc/[0-9]*/cmdline | tr "\0" "\n"' | grep -x -A1 "$program" |
        grep -x -e server -e worker | sort | xargs
}
nobody_on() { [ -z "$(roles_on "$1")" ]; }
hosts_events() { grep -c '"event":"hosts"' "$1/metrics.jsonl"; }
newest_of() { ls "$1/checkpoints" 2>/dev/null | sed 's/step-0*//' | sort -n | tail -n 1; }
is_beyond() { [ "$(newest_of "$1")" -gt "$2" ] 2>/dev/null; }

on h1 "$dips" train run.yaml --run end "${words[@]}" train.steps=2000 >end.out 2>end.err &
job=$!
wait_until 40 is_beyond end 0
cut_off h3
since=$SECONDS
wait_until 40 eval '[ $(hosts_events end) = 1 ]'
seen=$(newest_of end)
wait_until 40 is_beyond end "$seen"
echo "$((SECONDS - since)) s until the next checkpoint"
check "those who are cut off end by themselves" wait_until 10 nobody_on h3
wait $job
check "without a host the run goes on to its end" is $? 0
check "with two workers" says end/metrics.jsonl '"event":"hosts".*"missing":"h3","workers":2'
check "after one return" is "$(grep -c '"event":"restart"' end/metrics.jsonl)" 1
check "at its last step" is "$(newest_of end)" 2000
let_back h3

on h1 "$dips" train run.yaml --run back "${words[@]}" >back.out 2>back.err &
job=$!
wait_until 40 is_beyond back 0
cut_off h3
wait_until 40 eval '[ $(hosts_events back) = 1 ]'
seen=$(newest_of back)
check "it goes on without a host" wait_until 40 is_beyond back "$seen"
let_back h3
on h2 pkill -KILL -f 'dips worker'
wait_until 40 eval '[ $(hosts_events back) = 2 ]'
seen=$(newest_of back)
check "it goes on with the host that is back" wait_until 40 is_beyond back "$seen"
check "with three workers" says back.err "3 of the 3 hosts of hosts are there: 3 workers go on, of 3"
check "one of them there" is "$(roles_on h3)" worker
on h1 pkill -TERM -f -- "dips train run.yaml --run back"
wait $job
check "a signal ends it" is $? 143
for host in h1 h2 h3; do
    check "nobody is left on $host" wait_until 10 nobody_on $host
done
finish
