# After a death a run returns to its newest checkpoint and ends with the bits of one that was never
# disturbed. test_recovery_long.sh has every process at every moment.
. "$(dirname "${BASH_SOURCE[0]}")/moments.sh"
undisturbed whole

table_head
case_of "server 1" KILL "in a pull"
case_of "server 0" KILL "writing a checkpoint"
case_of "worker 1" KILL "in an all-reduce"
case_of mpirun KILL evaluating
case_of "worker 0" KILL stopping
case_of "server 1" STOP "between steps"
case_of "server 1" HANG "in a pull"
check "a server that hangs is told of as one" says err "server 1 .* beats, but a thread of its"
case_of "worker 1" HANG "in an all-reduce"
check "a worker that hangs, not one that waits for it" says err "worker 1 .* made no progress"
cat table

die "server 0" KILL "first steps" checkpoint.every=0
check "before the first checkpoint: status 0" is "$status" 0
check "before the first checkpoint: it says so" says err "goes on from the beginning"
check "before the first checkpoint: the same bits" same_bits "$(last_of "the run")" "$(last_of whole)"

die "worker 0" KILL "in a pull" cluster.max_restarts=0
check "no return is allowed: status 4" is "$status" 4
check "no return is allowed: one sentence" is "$(grep -c '^dips: ' err)" 1
finish
