# launch/slurm/train.sbatch under a Slurm of this test's own with three nodes, each a network
# namespace with a slurmd: an allocation of several nodes trains, goes on after a death, and goes
# back into the queue and on when it is warned.
. "$(dirname "$0")/job_lib.sh"
need_mpirun
. "$source_folder/tests/launch/three_hosts.sh"
. "$source_folder/tests/launch/slurm_lib.sh"
unset OMPI_MCA_plm_rsh_agent # here mpirun's processes are steps of the job
trap 'end_hosts; end_munge' EXIT # the daemons end with their hosts
make_world
at_controller() { on h1 "$@"; }

{
    printf '%s\n' SlurmctldPort=6817 SlurmdPort=6818
    printf 'NodeName=h%d NodeAddr=10.73.0.%d CPUs=2 State=UNKNOWN\n' 1 1 2 2 3 3
} | configure 'h1(10.73.0.1)'
begin_slurmd() { mkdir -p "$slurm/spool/$1" && on "$1" slurmd -f "$SLURM_CONF"; }
begin_munge && on h1 slurmctld -c -f "$SLURM_CONF" && begin_slurmd h1 && begin_slurmd h2 && begin_slurmd h3 &&
    wait_until 20 all_idle || no_slurm

# roles_on HOST: the servers and workers that run there.
program=$(realpath "$dips")
roles_on() {
    on "$1" sh -c 'cat /proc/[0-9]*/cmdline | tr "\0" "\n"' | grep -x -A1 "$program" |
        grep -x -e server -e worker | sort | xargs
}
nobody_on() { [ -z "$(roles_on "$1")" ]; }
auc() { sed -n 's/.*"event":"eval".*"auc":\([0-9.]*\).*/\1/p' "$1/metrics.jsonl" | tail -n 1; }

"$dips" train run.yaml --run one cluster.servers=2 cluster.workers=2 train.epochs=3 >one.out 2>one.err
job=$(submit two "--nodes=2 --ntasks=2 --time=5" train.epochs=3)
check "a job on two nodes ends" wait_until 90 is_state "$job" COMPLETED
check "well" is "$(field "$job" ExitCode)" 0:0
check "with the bits of one machine" python3 "$source_folder/tests/launch/compare.py" \
    one/checkpoints/step-000000000060 two/checkpoints/step-000000000060
[ $failures = 0 ] || cat two.log

job=$(submit three "--nodes=3 --ntasks=3 --time=5" train.epochs=1000000)
check "a job on three nodes trains" wait_until 90 is_beyond three 20
for host in h2 h3; do # h1 has the launchers of all of them, too
    check "$host has a server and a worker" is "$(roles_on $host)" "server worker"
done
on h3 pkill -KILL -f "dips server"
check "a server that is killed on another node is missed" wait_until 20 eval \
    'grep -qs "\"event\":\"restart\"" three/metrics.jsonl'
seen=$(newest_of three)
check "the job goes on" wait_until 60 is_beyond three "$seen"
at_controller scancel --batch --signal=TERM "$job" # as Slurm does a minute before the time is over
check "a job that is warned goes back into the queue" wait_until 40 is_state "$job" PENDING
seen=$(newest_of three)
check "with a last checkpoint" says three.log "checkpoint of step $seen"
check "it begins again by itself" begin_again "$job"
check "and goes on" wait_until 90 is_beyond three "$seen"
at_controller scancel "$job"
check "a job that is cancelled stays so" wait_until 60 is_state "$job" CANCELLED
for host in h1 h2 h3; do
    check "nobody is left on $host" wait_until 30 nobody_on $host
done
finish
