# moments.sh - sourced: what becomes of a run when a process dies at a chosen moment.
. "$(dirname "${BASH_SOURCE[0]}")/job_lib.sh"
need_mpirun
shim="$(dirname "$dips")/tests/libmoment.so"
[ -f "$shim" ] || { echo "skipped: $shim is not built"; exit 77; }
export ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0"
make_world
ln -s "$shim" libmoment.so # LD_PRELOAD parts its names at spaces

cluster="train.steps=60 train.epochs=3 cluster.servers=2 cluster.workers=2 cluster.start_timeout=6"
cluster="$cluster checkpoint.every=20steps"

# undisturbed FOLDER [words]: what the others are compared with.
undisturbed() {
    local folder=$1
    shift
    "$dips" train run.yaml --run "$folder" $cluster "$@" >out 2>err || { cat err; exit 1; }
}

same_bits() { python3 "$source_folder/tests/launch/compare.py" "$1" "$2" >/dev/null; }
last_of() { echo "$1/checkpoints/step-000000000060"; }
ms_since() { echo $((($(date +%s%N) - $1) / 1000000)); }
returned() { grep -qs '"event":"restart"' "the run/metrics.jsonl"; }
has_moment() { [ -e moment ] || is_ended $job; }
trains_again() {
    sed '1,/"event":"restart"/d' "the run/metrics.jsonl" 2>/dev/null | grep -q '"event":"step"' ||
        is_ended $job
}

# at MOMENT WHO: the message that a worker is held at.
at() {
    export DIPS_MOMENT_RANK=0 DIPS_MOMENT_AFTER=1 DIPS_MOMENT_STEP=30
    case $2 in "worker 1") DIPS_MOMENT_RANK=1 ;; esac
    case $1 in
    starting) export DIPS_MOMENT_KIND=HELLO DIPS_MOMENT_AFTER=0 DIPS_MOMENT_STEP=0 ;;
    "between steps") export DIPS_MOMENT_KIND=PULL DIPS_MOMENT_AFTER=0 ;;
    "in a pull") export DIPS_MOMENT_KIND=PULL ;;
    "in an all-reduce") # the other one is held, so that this one waits
        export DIPS_MOMENT_KIND=PUSH DIPS_MOMENT_RANK=1
        case $2 in "worker 1") DIPS_MOMENT_RANK=0 ;; esac
        ;;
    "first steps") export DIPS_MOMENT_KIND=PULL DIPS_MOMENT_STEP=7 ;;
    "writing a checkpoint") export DIPS_MOMENT_KIND=SAVE DIPS_MOMENT_RANK=0 ;;
    evaluating) export DIPS_MOMENT_KIND=READ DIPS_MOMENT_STEP=2 ;;
    stopping) export DIPS_MOMENT_KIND=BYE DIPS_MOMENT_AFTER=0 DIPS_MOMENT_STEP=0 ;;
    esac
    export DIPS_MOMENT_FILE="$room/moment"
}

# strike WHO SIGNAL: at $victim. HANG: one thread hangs, that of a server's shard or a worker's
# that computes, while the others go on, those that send beats among them.
strike() {
    local thread=$victim
    [ "$2" = HANG ] || { kill -"$2" "$victim"; return; }
    case $1 in server*)
        thread=$(grep -lx "dips-shard-${1#server }" "/proc/$victim/task/"*/comm | cut -d/ -f5)
        ;;
    esac
    "$(dirname "$dips")/tests/stop_thread" "$thread" 2>hang.err &
    sleep 0.1
    ! grep -q "not permitted" hang.err || { echo "skipped: nobody may hold a thread here"; exit 77; }
}

# die WHO SIGNAL MOMENT [words]: sets $status, and in milliseconds since then $noticed,
# $training (again) and $took (until the job ended).
die() {
    local who=$1 signal=$2 moment=$3 begun
    shift 3
    noticed=- training=- took=0
    rm -rf "the run" moment moment.over
    at "$moment" "$who"
    LD_PRELOAD=./libmoment.so "$dips" train run.yaml --run "the run" $cluster "$@" >out 2>err &
    job=$!
    wait_until 20 has_moment
    wait_until 8 find_process "$who" || { kill -KILL $job; wait $job 2>/dev/null; status=none; return; }
    strike "$who" "$signal"
    begun=$(date +%s%N)
    rm -f moment
    case $who in coordinator) ;; *)
        wait_until 10 eval 'returned || is_ended $job'
        returned && noticed=$(ms_since $begun) && wait_until 20 trains_again && training=$(ms_since $begun)
        ;;
    esac
    wait_until 60 is_ended $job || kill -KILL $job
    wait $job 2>/dev/null
    status=$?
    wait_until 10 no_process_of "the run"
    took=$(ms_since $begun)
    unset DIPS_MOMENT_FILE
}

# case_of WHO SIGNAL MOMENT: either the run ends with the bits of one that was never disturbed, or
# (the coordinator, or while starting) it is ended within 10 s by a sentence that names who it was,
# and the same command goes on to the same bits. A row of the table.
case_of() {
    local who=$1 signal=$2 moment=$3 outcome=- claim="$1, $2, $3"
    case $signal in
    HANG) die "$who" HANG "$moment" cluster.shard_timeout=2 cluster.step_timeout=4 ;;
    *) die "$who" "$signal" "$moment" ;;
    esac
    check "$claim: nothing is left" nothing_left $job "the run"
    if [ "$status" = 0 ]; then
        check "$claim: the bits of a run never disturbed" same_bits "$(last_of "the run")" "$(last_of whole)"
        check "$claim: every step is told once" is \
            "$(grep -c '"event":"step"' "the run/metrics.jsonl")" 60
        outcome="the same bits"
    else
        case $who in
        coordinator) check "$claim: the shell is told of a kill" is "$status" 137 ;;
        *) check "$claim: status 4" is "$status" 4 ;;
        esac
        case $who,$moment in
        coordinator,* | *,starting) ;;
        *) check "$claim: the run goes on" false; sed 's/^/        /' err ;;
        esac
        check "$claim: ended within 10 s ($took ms)" test "$took" -lt 10000
        case $moment in
        starting) check "$claim: it names who died" says err "^dips: .*$who" ;; # it may not have said its number
        *) check "$claim: it names who died" says err "^dips: .*$who (.*process $victim" ;;
        esac
        "$dips" train run.yaml --run "the run" $cluster >out 2>err
        check "$claim: the next command goes on to the same bits" same_bits \
            "$(last_of "the run")" "$(last_of whole)"
        outcome="ended by name"
    fi
    printf '%-12s %-5s %-22s %-14s %8s %8s %8s\n' "$who" "$signal" "$moment" "$outcome" \
        "$noticed" "$training" "$took" >>table
}

table_head() {
    printf '%-12s %-5s %-22s %-14s %8s %8s %8s\n' who signal moment outcome noticed training ended >table
}
