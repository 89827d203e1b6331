# launch/slurm/train.sbatch under a Slurm of this test's own, on one node: a job of two servers
# and two workers ends well; another one is warned, goes back into the queue, and goes on.
. "$(dirname "$0")/job_lib.sh"
need_mpirun
[ "$(id -u)" = 0 ] || { echo "skipped: a Slurm of one's own needs root"; exit 77; }
for program in munged slurmctld slurmd sbatch scontrol; do
    command -v $program >/dev/null || {
        echo "skipped: $program is not installed (Debian: apt-get install slurmctld slurmd slurm-client munge)"
        exit 77
    }
done
make_world

# ---- a Slurm, whose paths may have no space ----

slurm=$(mktemp -d /tmp/dips-slurm-XXXXXX)
chmod 711 "$slurm"
mkdir -m 711 "$slurm/munge"
mkdir "$slurm/state" "$slurm/spool"
dd if=/dev/urandom of="$slurm/key" bs=1024 count=1 2>/dev/null
chmod 400 "$slurm/key"
mapfile -t ports < <(python3 -c '
import socket
ends = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[end.getsockname()[1] for end in ends], sep="\n")')
cat >"$slurm/slurm.conf" <<END
ClusterName=dips
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$slurm/munge/socket
CredType=cred/munge
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd.pid
SlurmctldLogFile=$slurm/slurmctld.log
SlurmdLogFile=$slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
MinJobAge=300
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP OverSubscribe=FORCE:8
END
export SLURM_CONF="$slurm/slurm.conf" DIPS="$dips"

end_slurm() {
    scancel --quiet --state=RUNNING --state=PENDING 2>/dev/null
    for daemon in slurmd slurmctld munge/munged; do
        [ -s "$slurm/$daemon.pid" ] && kill "$(cat "$slurm/$daemon.pid")" 2>/dev/null
    done
    sleep 1
    rm -rf "$slurm"
}
trap end_slurm EXIT

munged --force --socket="$slurm/munge/socket" --key-file="$slurm/key" --pid-file="$slurm/munge/munged.pid" \
    --log-file="$slurm/munge/log" --seed-file="$slurm/munge/seed" 2>munged.err &&
    slurmctld -c -f "$SLURM_CONF" && slurmd -f "$SLURM_CONF" &&
    wait_until 20 sh -c 'sinfo -h -o %T | grep -qx idle' ||
    { echo "skipped: Slurm does not begin here"; cat munged.err; tail -n 3 "$slurm"/*.log; exit 77; }

# ---- jobs ----

submit() {
    sbatch --parsable --output="$1.log" "${@:2:1}" "$source_folder/launch/slurm/train.sbatch" run.yaml "$1" \
        cluster.servers=2 checkpoint.every="20 steps" checkpoint.keep=1000000 "${@:3}"
}
field() { scontrol -o show job "$1" | grep -o "$2=[^ ]*" | cut -d= -f2; }
is_state() { [ "$(field "$1" JobState)" = "$2" ]; }
steps_of() { grep -c '"event":"step"' "$1/metrics.jsonl" 2>/dev/null || true; }
newest_of() { ls "$1/checkpoints" 2>/dev/null | sed 's/step-0*//' | sort -n | tail -1; }
is_beyond() { [ "$(newest_of "$1")" -gt "$2" ] 2>/dev/null; }

job=$(submit plain --time=5 train.epochs=3)
check "a job of two servers and two workers ends" wait_until 60 is_state "$job" COMPLETED
check "well" is "$(field "$job" ExitCode)" 0:0
check "with its last checkpoint" is "$(newest_of plain)" 60

job=$(submit again --time=5 train.epochs=1000000)
wait_until 60 is_beyond again 20
scancel --batch --signal=TERM "$job" # as Slurm does a minute before the time is over
check "a job that is warned goes back into the queue" wait_until 30 is_state "$job" PENDING
seen=$(newest_of again)
check "with a last checkpoint" says again.log "checkpoint of step $seen"
has_left() { ! pgrep -f "slurmstepd: .$1.batch" >/dev/null; }
wait_until 20 has_left "$job" # Slurm cannot begin a job that still ends
runs_again() { # without the pause that Slurm makes
    scontrol update JobId="$job" StartTime=now 2>/dev/null
    is_state "$job" RUNNING
}
check "it begins again by itself" wait_until 150 runs_again
check "and goes on" wait_until 60 is_beyond again "$seen"
check "from its newest checkpoint" says again.log "going on from checkpoint again/checkpoints/step-0*$seen"
scancel "$job"
check "a job that is cancelled stays so" wait_until 60 is_state "$job" CANCELLED
check "nobody is left of it" wait_until 20 no_process_of again
finish
