# The same run in one process, on many, under a typed mpirun, and by lines that are typed one by one.
. "$(dirname "${BASH_SOURCE[0]}")/job_lib.sh"
make_world

# auc RUN: of the last evaluation.
auc() { sed -n 's/.*"event":"eval".*"auc":\([0-9.]*\).*/\1/p' "$1/metrics.jsonl" | tail -n 1; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a > 0 && d < 0.002 && d > -0.002) }' ||
    { echo "        $1 and $2"; false; }; }

# ran CLAIM RUN STATUS: a run that went well, of the job with process $job.
ran() {
    check "$1: status 0" is "$3" 0
    check "$1: nothing is left" nothing_left "$job" "$2"
    check "$1: all is in the run folder" test -s "$2/run.yaml" -a -s "$2/metrics.jsonl" \
        -a -s "$2/checkpoints/step-000000000020/manifest.json"
    check "$1: the same AUC" near "$(auc "$2")" "$(auc alone)"
}

"$dips" train run.yaml --run alone >out 2>err &
job=$!
wait $job
ran "one process" alone $?
check "one process: progress is shown" says err "step 20/20"
check "standard output is not for progress" test ! -s out

need_mpirun
"$dips" train run.yaml --run "two by two" cluster.servers=2 cluster.workers=2 >out 2>err &
job=$!
wait $job
ran "2 servers, 2 workers" "two by two" $?
check "2 servers, 2 workers: progress is shown once" is "$(grep -c 'step 20/20' err)" 1
check "mpirun's own words are not for the user" is "$(grep -c -i mpi err)" 0

"$dips" train run.yaml --run one-worker cluster.servers=2 cluster.shards=2 >out 2>err &
job=$!
wait $job
ran "2 servers of 2 shards, 1 worker" one-worker $?

"$dips" train run.yaml --run many-workers cluster.workers=5 >out 2>err &
job=$!
wait $job
ran "5 workers on few cores, shards in the first" many-workers $?

mpirun --oversubscribe -n 2 "$dips" train run.yaml --run typed cluster.servers=1 >out 2>err &
job=$!
wait $job
ran "a typed mpirun" typed $?

"$dips" train run.yaml --run "by lines" --dry-run cluster.servers=2 cluster.workers=2 >lines
check "a dry run prints every process" is "$(grep -vc '^#' lines)" 4
check "a dry run makes nothing" test ! -e "by lines"
jobs_started=
while read -r line; do
    bash -c "exec $line" </dev/null >>out 2>>err &
    jobs_started="$jobs_started $!"
    sleep 0.2
done <<<"$(grep -v '^#' lines)"
job=${jobs_started%% [0-9]*}
status=0
for job in $jobs_started; do wait "$job" || status=$?; done
job=$(set -- $jobs_started; echo "$1")
ran "the lines of a dry run" "by lines" $status

"$dips" eval run.yaml --checkpoint alone --json >one.json 2>err
check "eval alone: status 0" is $? 0
"$dips" eval run.yaml --checkpoint alone/checkpoints cluster.servers=2 cluster.workers=2 --json >two.json 2>err
check "eval by processes: status 0" is $? 0
check "eval prints one JSON object and nothing else" python3 - <<'END'
import json
one, two = (json.loads(open(name).read()) for name in ("one.json", "two.json"))
keys = ["event", "split", "step", "auc", "gauc", "logloss", "calibration", "samples", "groups"]
last = [json.loads(l) for l in open("alone/metrics.jsonl") if '"eval"' in l][-1]
assert list(one) == list(two) == list(last) == keys, list(one)
assert one["event"] == "eval" and one["split"] == "test" and one["step"] == 20
assert one["samples"] == two["samples"] == 500
assert abs(one["auc"] - two["auc"]) < 1e-5 and abs(one["logloss"] - two["logloss"]) < 1e-6
assert abs(last["auc"] - one["auc"]) < 1e-6, (last, one)
END
for workers in 1 3; do
    "$dips" predict alone/run.yaml --checkpoint alone/checkpoints/step-000000000020 \
        --out p$workers.safetensors cluster.workers=$workers >out 2>err
    check "predict by $workers: status 0" is $? 0
done
"$dips" prepare synthetic --out many --samples 500 --shard-samples 110 --users 300 --goods 300 \
    --test-samples 1 >out 2>&1
for workers in 1 3; do # five files, the last one shorter
    "$dips" predict alone/run.yaml --checkpoint alone --out f$workers.safetensors \
        data.test=many/train-*.safetensors data.deal=files cluster.workers=$workers >out 2>err
    check "predict by $workers, each its own files: status 0" is $? 0
done
check "predictions do not depend on who makes them" python3 - <<'END'
import json, struct
def read(path):
    raw = open(path, "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    t = json.loads(raw[8:8 + n])["probability"]
    assert t["dtype"] in ("F32", "F64") and t["shape"] == [500], t
    a, b = t["data_offsets"]
    return struct.unpack("<500" + ("f" if t["dtype"] == "F32" else "d"), raw[8 + n + a:8 + n + b])
for kind in "p", "f":
    one, three = read(kind + "1.safetensors"), read(kind + "3.safetensors")
    assert all(0 < p < 1 for p in one)
    assert max(abs(a - b) for a, b in zip(one, three)) < 1e-5, kind
END
check "eval and predict leave no temporary folder" is "$(ls -A "$TMPDIR")" ""
finish
