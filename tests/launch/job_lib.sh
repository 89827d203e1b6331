# job_lib.sh - sourced by the tests that run `dips` itself: DIPS_EXECUTABLE SOURCE_FOLDER are their words.
#
# Each test works in a fresh folder whose name has a space, with a TMPDIR of its own, so that what
# a job leaves behind can be told from what others do on this machine.
set -u
dips=$1
source_folder=$2
room="$PWD/$(basename "$0" .sh) room"
rm -rf "$room"
mkdir -p "$room/tmp"
cd "$room" || exit 1
export TMPDIR="$room/tmp"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
failures=0

# check CLAIM COMMAND...: says whether the command succeeds.
check() {
    local claim=$1
    shift
    if "$@"; then
        echo "ok      $claim"
    else
        echo "FAILED  $claim"
        failures=$((failures + 1))
    fi
}

is() { [ "$1" = "$2" ] || { echo "        is '$1', not '$2'"; false; }; }
says() { grep -q -- "$2" "$1" || { sed 's/^/        /' "$1"; false; }; }

finish() {
    cd ..
    [ $failures = 0 ] && rm -rf "$room"
    exit $((failures > 0))
}

need_mpirun() {
    command -v mpirun >/dev/null || { echo "skipped: mpirun is not installed"; exit 77; }
    # Open MPI itself leaks on purpose.
    export ASAN_OPTIONS=detect_leaks=0
}

# A small invented world in data/, and run.yaml.
make_world() {
    "$dips" prepare synthetic --out data --samples 4000 --test-samples 500 --users 300 \
        --goods 300 >prepare.out 2>&1 || { cat prepare.out; exit 1; }
    cat >run.yaml <<'END'
tables:
    user:  {dim: 4}
    goods: {dim: 4}
    cate:  {dim: 4}
features:
    user:  {table: user}
    goods: {table: goods}
    cate:  {table: cate}
    history:
        columns: {goods: {table: goods}, cate: {table: cate}}
        max_len: 20
model:
    kind: din
    profile: [user]
    candidate: [goods, cate]
    history: history
    attention: {score: mlp, units: [8], activation: relu}
    mlp: {units: [8], activation: relu}
data: {train: data/train-*.safetensors, test: data/test-*.safetensors}
train: {batch: 200, epochs: 1}
cluster: {heartbeat_timeout: 3}
END
}

# Processes of the job that uses the run folder $1 of this test.
processes_of() {
    local p
    for p in $(pgrep -f -- "--(run|folder) $1( |$)"); do
        [ "$(readlink "/proc/$p/cwd")" = "$room" ] &&
            grep -qs "^State:.[^ZX]" "/proc/$p/status" && echo "$p"
    done
}

# Wait up to $1 seconds until the command that follows succeeds.
wait_until() {
    local tries=$(($1 * 20))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.05
    done
}

no_process_of() { [ -z "$(processes_of "$1")" ]; }
is_ended() { ! grep -qs "^State:.[^ZX]" "/proc/$1/status"; }
has_step() { grep -qs '"event":"step"' "$1/metrics.jsonl"; }

# Open MPI's shared memory made since run.yaml was, of which no process is left.
orphaned_segments() {
    local segment
    find /dev/shm -maxdepth 1 -name 'vader_segment.*' -newer run.yaml 2>/dev/null |
        while read -r segment; do
            grep -qsF "$segment" /proc/[0-9]*/maps || echo "$segment"
        done
}

# The job with process $1 in run folder $2 has left nothing on this machine.
nothing_left() {
    local left
    left=$(
        processes_of "$2"
        ls -d "$2/session" "$2/lock" "$2/key" "/dev/shm/dips-$1-"* 2>/dev/null
        orphaned_segments
        ls -A "$TMPDIR"
        ss -xl 2>/dev/null | grep -o "@dips-$1-[^ ]*"
    )
    [ -z "$left" ] || { echo "        left: $left"; ps -ww -fp $(processes_of "$2") 2>/dev/null; false; }
}

rank_is() { tr '\0' '\n' <"/proc/$1/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$2"; }

# Whether the process $1 is a child of the job's, or of an mpirun of the job's.
descends() {
    local parent
    parent=$(ps -o ppid= -p "$1" | tr -d ' ')
    [ "$parent" = "$job" ] || [ "$(ps -o ppid= -p "${parent:-0}" 2>/dev/null | tr -d ' ')" = "$job" ]
}

# find_process WHO: of the job with process $job, into $victim; fails while it is not there.
find_process() {
    local p
    victim=
    case $1 in
    coordinator) victim=$job ;;
    watchdog) victim=$(pgrep -P "$job" -x dips-watchdog) ;;
    mpirun) # of the workers
        for p in $(pgrep -P "$job" -x mpirun); do
            tr '\0' ' ' <"/proc/$p/cmdline" | grep -q "worker --coordinator" && victim=$p
        done
        ;;
    server*)
        for p in $(pgrep -f -- "server --coordinator .* --index ${1#server }( |\$)"); do
            [ "$(ps -o comm= -p $p)" != mpirun ] && descends $p && victim=$p
        done
        ;;
    worker*)
        for p in $(pgrep -f -- "worker --coordinator"); do
            descends $p && rank_is "$p" "${1#worker }" && victim=$p
        done
        ;;
    esac
    [ -n "$victim" ]
}
