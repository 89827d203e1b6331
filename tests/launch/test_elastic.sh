# Hosts come and go, and the run goes on with as many workers as there is room for. The three hosts
# are three names for this machine: the agent by which mpirun reaches them refuses one that is gone.
. "$(dirname "${BASH_SOURCE[0]}")/job_lib.sh"
need_mpirun
make_world
names=$(mktemp -d /tmp/dips-names-XXXXXX) # without a space: mpirun's agent may have none
trap 'rm -rf "$names"' EXIT
cat >"$names/agent" <<'END'
#!/bin/bash
# agent HOST COMMAND...: as ssh would, but on this machine
names=$(dirname "$0") host=$1
shift
[ ! -e "$names/$host.gone" ] || { echo "agent: $host: no route to host" >&2; exit 255; }
mkdir -p "$names/$host"
TMPDIR=$names/$host exec sh -c "$*"
END
chmod 755 "$names/agent"
export OMPI_MCA_plm_rsh_agent=$names/agent
printf '%s slots=1\n' alpha beta gamma >hosts
words=(cluster.servers=3 cluster.workers=3 cluster.hostfile=hosts cluster.interface=lo cluster.elastic=true
    cluster.max_restarts=9 train.epochs=100000 checkpoint.every="20 steps" data.test=[])

# processes_on HOST: servers and workers there.
processes_on() {
    local p
    for p in $(pgrep -f "dips (server|worker) --coordinator"); do
        tr '\0' '\n' 2>/dev/null <"/proc/$p/environ" | grep -qx "TMPDIR=$names/$1" && echo "$p"
    done
}
roles_on() {
    local p
    for p in $(processes_on "$1"); do
        tr '\0' '\n' 2>/dev/null <"/proc/$p/cmdline" | sed -n 's/^\(server\|worker\)$/\1/p'
    done | sort | xargs
}
newest() { ls "the run/checkpoints" 2>/dev/null | sed 's/step-0*//' | sort -n | tail -n 1; }
is_beyond() { [ "$(newest)" -gt "$1" ] 2>/dev/null; }
hosts_events() { grep -c '"event":"hosts"' "the run/metrics.jsonl"; }
last_event() { grep '"event":"hosts"' "the run/metrics.jsonl" | tail -n 1; }

"$dips" train run.yaml --run "the run" "${words[@]}" >out 2>err &
job=$!
wait_until 40 is_beyond 0 || cat err
for host in alpha beta gamma; do
    check "$host has a server and a worker" is "$(roles_on $host)" "server worker"
done
check "where all hosts are there nothing is said of it" is "$(hosts_events)" 0

touch "$names/beta.gone"
kill -KILL $(processes_on beta)
wait_until 30 eval '[ $(hosts_events) = 1 ]'
seen=$(newest)
check "without a host the run goes on" wait_until 40 is_beyond "$seen"
check "with a worker less" says "the run/metrics.jsonl" '"event":"hosts".*"hosts":2,"missing":"beta","workers":2'
check "it is said" says err "2 of the 3 hosts of hosts are there, not beta: 2 workers go on, of 3"
check "its server has moved" is "$(roles_on alpha) $(roles_on gamma)" "server worker server server worker"

rm "$names/beta.gone"
find_process "server 0" || true
kill -KILL "$(processes_on gamma | tail -n 1)"
wait_until 30 eval '[ $(hosts_events) = 2 ]'
seen=$(newest)
check "with the next return the host is taken in again" wait_until 40 is_beyond "$seen"
check "with its worker" says err "3 of the 3 hosts of hosts are there: 3 workers go on, of 3"
check "it works" says <(roles_on beta) worker
kill -TERM $job
wait $job
check "a signal ends the run" is $? 143
check "nothing is left" nothing_left $job "the run"

touch "$names/gamma.gone"
steps=$(($(newest) + 10))
"$dips" train run.yaml --run "the run" "${words[@]}" train.steps=$steps data.test=[data/test-*] >out 2>err
check "a run that begins without a host ends well" is $? 0
check "with those who are there" says err "2 of the 3 hosts of hosts are there, not gamma: 2 workers go on, of 3"

"$dips" train run.yaml --run whole train.epochs=100000 train.steps=$steps >out 2>err
auc() { sed -n 's/.*"event":"eval".*"auc":\([0-9.]*\).*/\1/p' "$1/metrics.jsonl" | tail -n 1; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a > 0 && d < 0.002 && d > -0.002) }' ||
    { echo "        $1 and $2"; false; }; }
check "it learned what an undisturbed one does" near "$(auc "the run")" "$(auc whole)"

touch "$names/alpha.gone" "$names/beta.gone"
"$dips" train run.yaml --run "the run" "${words[@]}" >out 2>err
check "without any host: status 4" is $? 4
check "without any host: one sentence" says err "^dips: no host of hosts answered"
finish
