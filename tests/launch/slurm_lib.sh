# slurm_lib.sh - sourced behind job_lib.sh: a Slurm of a test's own.
[ "$(id -u)" = 0 ] || { echo "skipped: a Slurm of one's own needs root"; exit 77; }
for program in munged slurmctld slurmd sbatch scontrol; do
    command -v $program >/dev/null || {
        echo "skipped: $program is not installed (Debian: apt-get install slurmctld slurmd slurm-client munge)"
        exit 77
    }
done

slurm=$(mktemp -d /tmp/dips-slurm-XXXXXX) # its paths may have no space
chmod 711 "$slurm"
mkdir -m 711 "$slurm/munge"
mkdir "$slurm/state" "$slurm/spool"
dd if=/dev/urandom of="$slurm/key" bs=1024 count=1 2>/dev/null
chmod 400 "$slurm/key"
export SLURM_CONF="$slurm/slurm.conf" DIPS="$dips"

# configure CONTROLLER: a slurm.conf with the lines of standard input, the nodes among them.
configure() {
    {
        cat <<END
ClusterName=dips
SlurmctldHost=$1
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$slurm/munge/socket
CredType=cred/munge
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool/%n
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd-%n.pid
SlurmctldLogFile=$slurm/slurmctld.log
SlurmdLogFile=$slurm/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
MinJobAge=300
END
        cat
        echo "PartitionName=all Nodes=ALL Default=YES State=UP OverSubscribe=FORCE:8"
    } >"$SLURM_CONF"
}

begin_munge() {
    munged --force --socket="$slurm/munge/socket" --key-file="$slurm/key" --pid-file="$slurm/munge/munged.pid" \
        --log-file="$slurm/munge/log" --seed-file="$slurm/munge/seed" 2>"$slurm/munged.err"
}

end_munge() {
    [ -s "$slurm/munge/munged.pid" ] && kill "$(cat "$slurm/munge/munged.pid")" 2>/dev/null
    sleep 1
    rm -rf "$slurm"
}

# Where its daemons are among the processes of this machine.
end_slurm() {
    scancel --quiet --state=RUNNING --state=PENDING 2>/dev/null
    for pid in "$slurm"/slurmd-*.pid "$slurm/slurmctld.pid"; do
        [ -s "$pid" ] && kill "$(cat "$pid")" 2>/dev/null
    done
    end_munge
}

no_slurm() { echo "skipped: Slurm does not begin here"; cat "$slurm/munged.err"; tail -n 3 "$slurm"/*.log; exit 77; }

# at_controller COMMAND...: where Slurm's commands reach it. A test on several hosts says where.
at_controller() { "$@"; }
all_idle() { [ "$(at_controller sinfo -h -o %T | sort -u)" = idle ]; }

# submit RUN SBATCH-FLAG [words]
submit() {
    at_controller sbatch --parsable --output="$1.log" $2 "$source_folder/launch/slurm/train.sbatch" run.yaml "$1" \
        checkpoint.every="20 steps" checkpoint.keep=1000000 "${@:3}"
}
field() { at_controller scontrol -o show job "$1" | grep -o "$2=[^ ]*" | cut -d= -f2; }
is_state() { [ "$(field "$1" JobState)" = "$2" ]; }
newest_of() { ls "$1/checkpoints" 2>/dev/null | sed 's/step-0*//' | sort -n | tail -1; }
is_beyond() { [ "$(newest_of "$1")" -gt "$2" ] 2>/dev/null; }

# begin_again JOB: after it went back into the queue, without the pause of two minutes that Slurm
# makes. Not before its nodes are idle, and no sooner than some seconds later: slurmd takes what it is
# to begin in the second in which it closed the job's first life for revoked, and the job fails.
begin_again() {
    wait_until 90 all_idle
    sleep 3
    at_controller scontrol update JobId="$1" StartTime=now
    wait_until 150 is_state "$1" RUNNING
}
