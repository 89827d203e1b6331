# launch/slurm/train.sbatch under a Slurm of this test's own, on one node: a job of two servers
# and two workers ends well; another one is warned, goes back into the queue, and goes on.
. "$(dirname "$0")/job_lib.sh"
need_mpirun
. "$source_folder/tests/launch/slurm_lib.sh"
trap end_slurm EXIT
make_world

mapfile -t ports < <(python3 -c '
import socket
ends = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[end.getsockname()[1] for end in ends], sep="\n")')
configure "$(hostname)(127.0.0.1)" <<END
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
END
mkdir "$slurm/spool/$(hostname)"
begin_munge && slurmctld -c -f "$SLURM_CONF" && slurmd -f "$SLURM_CONF" && wait_until 20 all_idle || no_slurm

job=$(submit plain --time=5 cluster.servers=2 train.epochs=3)
check "a job of two servers and two workers ends" wait_until 60 is_state "$job" COMPLETED
check "well" is "$(field "$job" ExitCode)" 0:0
check "with its last checkpoint" is "$(newest_of plain)" 60

job=$(submit again --time=5 cluster.servers=2 train.epochs=1000000)
wait_until 60 is_beyond again 20
scancel --batch --signal=TERM "$job" # as Slurm does a minute before the time is over
check "a job that is warned goes back into the queue" wait_until 30 is_state "$job" PENDING
seen=$(newest_of again)
check "with a last checkpoint" says again.log "checkpoint of step $seen"
check "it begins again by itself" begin_again "$job"
check "and goes on" wait_until 60 is_beyond again "$seen"
check "from its newest checkpoint" says again.log "going on from checkpoint again/checkpoints/step-0*$seen"
scancel "$job"
check "a job that is cancelled stays so" wait_until 60 is_state "$job" CANCELLED
check "nobody is left of it" wait_until 20 no_process_of again
finish
