#!/usr/bin/env bash
# A run in which ids earn their rows and rows leave: stopped and gone on with, on any number
# of servers, it has the same bits as one that never stopped.
. "$(dirname "$0")/lib.sh"
world data --users 2000 --goods 6000 --samples 9600
run_file run.yaml data

# goods: counted one by one, a row in each bucket at most. cate: short and idle ones leave.
# user: a sketch, and users of yesterday leave. Each reason is seen below to have worked.
rules=(
    "tables.goods.admit={min_count: 2, counter: exact}" tables.goods.evict.max_bytes=1220K
    "tables.cate.evict={idle_steps: 3, min_norm: 0.05}" tables.cate.penalty.kind=none
    "tables.user.admit={min_count: 3, counter: sketch, expected_ids: 3K}"
    tables.user.evict.idle_days=1
)
leave=("${rules[@]}" checkpoint.every='40 steps')

# last FOLDER KEY: of the last `rows` event.
last() {
    grep '"event":"rows"' "$1/metrics.jsonl" | tail -1 | grep -o "\"$2\":[0-9]*" | cut -d: -f2
}

# some FOLDER KEY...: each of them is above 0.
some() {
    local folder=$1
    shift
    for key in "$@"; do
        [ "$(last "$folder" "$key")" -gt 0 ] || fail "$folder: $key is $(last "$folder" "$key")"
    done
}

train whole train.steps=200 "${leave[@]}"
some whole rows row_bytes refused_gradients admitted_ids evicted_rows
grep -q 'gradients of ids without a row, .* ids admitted, .* rows evicted' whole.err ||
    fail "the summary does not tell who came and left: $(tail -1 whole.err)"

say "each reason has its part in it"
for rule in 'tables.goods.evict.max_bytes=0' 'tables.user.evict.idle_days=0'; do
    train less train.steps=200 "${leave[@]}" "$rule"
    ! python3 "$source/tests/launch/compare.py" "$(cut_at less 200)" "$(cut_at whole 200)" >/dev/null 2>&1 ||
        fail "$rule makes no difference"
done

say "stopped, and gone on with on 2 servers of 2 shards, then on 1"
train moved train.steps=70 "${leave[@]}" cluster.servers=1
resume moved train.steps=130 "${leave[@]}" cluster.servers=2 cluster.shards=2
resume moved train.steps=200 "${leave[@]}" cluster.servers=1
same "$(cut_at moved 200)" "$(cut_at whole 200)"

say "pipelined, on 2 servers, and stopped at a planned checkpoint"
pipelined=("${leave[@]}" train.mode=pipelined train.staleness=3)
train ahead train.steps=120 "${pipelined[@]}"
train halted train.steps=80 "${pipelined[@]}" cluster.servers=2
resume halted train.steps=120 "${pipelined[@]}" cluster.servers=2
same "$(cut_at halted 120)" "$(cut_at ahead 120)"
"$dips" checkpoint verify halted >verify.out || fail "$(cat verify.out)"

say "a sketch of another form is refused"
status=0
"$dips" train run.yaml --run halted train.steps=140 "${pipelined[@]}" \
    tables.user.admit.expected_ids=4K >other.out 2>other.err || status=$?
[ $status = 2 ] || fail "status $status, wanted 2: $(cat other.err)"
grep -q 'the sketch of table user has .* cells of 2 bits .* tables.user.admit asks for' other.err ||
    fail "$(cat other.err)"

say "days that no data tell are refused"
python3 - <<'PYTHON'
import json, struct
with open("data/train-00000.safetensors", "rb") as f:
    (n,) = struct.unpack("<Q", f.read(8))
    header, data = json.loads(f.read(n)), f.read()
begin, end = header.pop("time")["data_offsets"]
for name, entry in header.items():
    if name != "__metadata__":
        entry["data_offsets"] = [at - (end - begin if at >= end else 0) for at in entry["data_offsets"]]
text = json.dumps(header).encode()
with open("timeless.safetensors", "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + data[:begin] + data[end:])
PYTHON
status=0
"$dips" train run.yaml --run timeless data.train=timeless.safetensors train.steps=3 "${leave[@]}" \
    >timeless.out 2>timeless.err || status=$?
[ $status = 2 ] || fail "status $status, wanted 2: $(cat timeless.err)"
grep -q 'tables.user.evict.idle_days is 1, and data.train: timeless.safetensors has no tensor' timeless.err ||
    fail "$(cat timeless.err)"
