#!/usr/bin/env bash
# Whatever a user gets wrong is answered with one sentence and the exit status that belongs
# to it (2 command or configuration, 3 data or checkpoint, 5 the machine).
. "$(dirname "$0")/lib.sh"
world data
run_file run.yaml data
good=$(ls data/train-*.safetensors | head -1)

# refused STATUS NEEDLE... -- COMMAND...: it ends so, with one line that holds all needles.
refused() {
    local wanted=$1 needles=() status=0
    shift
    while [ "$1" != -- ]; do
        needles+=("$1")
        shift
    done
    shift
    rm -rf bad
    "$@" >refused.out 2>refused.err || status=$?
    [ $status = "$wanted" ] || fail "status $status, wanted $wanted: $*: $(cat refused.err)"
    [ "$(wc -l <refused.err)" = 1 ] || fail "wanted one line: $*: $(cat refused.err)"
    for needle in "dips: " "${needles[@]}"; do
        grep -qF -- "$needle" refused.err || fail "no '$needle' in: $(cat refused.err)"
    done
    say "  $(cat refused.err)"
}
run() { "$dips" train run.yaml --run bad train.steps=4 "$@"; }

# spoilt NEEDLES... -- WHAT...: the shard with that wrong in it is refused as bad data.
spoilt() {
    local needles=()
    while [ "$1" != -- ]; do
        needles+=("$1")
        shift
    done
    shift
    python3 "$source/tests/launch/spoil.py" "$good" spoilt.safetensors "$@"
    refused 3 spoilt.safetensors "${needles[@]}" -- run data.train=[spoilt.safetensors]
}

say "commands and configuration"
refused 2 trian -- "$dips" trian run.yaml
refused 2 --rum -- "$dips" train run.yaml --rum bad
refused 2 train.bach train.batch -- run train.bach=3
refused 2 train.batch 0 1 -- run train.batch=0
refused 2 train.batch many -- run train.batch=many
refused 2 model.mlp.activation rely relu -- run model.mlp.activation=rely
refused 2 nowhere.yaml -- "$dips" train nowhere.yaml --run bad
sed 's/^train:/trane:/' run.yaml >typo.yaml
refused 2 typo.yaml:18 trane train -- "$dips" train typo.yaml --run bad
sed 's/table: cate}$/table: kate}/' run.yaml >typo.yaml
refused 2 kate -- "$dips" train typo.yaml --run bad

say "files"
refused 3 nowhere.safetensors -- run data.train=[nowhere.safetensors]
refused 3 'nowhere-*.safetensors' -- run 'data.train=[nowhere-*.safetensors]'
refused 3 'nowhere-*.safetensors' -- run 'data.train=[nowhere-*.safetensors]' data.counts=
refused 3 nowhere.safetensors "dips prepare" -- run data.counts=nowhere.safetensors
size=$(stat -c %s "$good")
spoilt truncated -- truncate 100
spoilt truncated -- truncate $((size - 20))
spoilt "too few" -- truncate $((size - 4))
spoilt "belong to no tensor" -- append 3
spoilt -- flip 7
spoilt -- flip 8
spoilt -- flip 30
spoilt overlaps -- overlap goods
spoilt goods -- longer goods 1
spoilt goods -- longer goods 4611686018427387904

say "what the samples need"
spoilt "no tensor label" -- drop label
spoilt "no tensor history.goods" "feature history" -- drop history.goods
spoilt "no tensor history.offsets" "feature history" -- drop history.offsets
spoilt "label[17] is 0.5" "0 or 1" -- set label 17 0.5
spoilt "label[3] is nan" -- set label 3 nan
spoilt "history.offsets[40] = 0 is below history.offsets[39]" -- set history.offsets 40 0
spoilt "history.offsets[0] is 1" -- set history.offsets 0 1
refused 2 "data.train is empty" -- run data.train=[]
refused 2 "data.test is empty" -- "$dips" eval run.yaml --checkpoint nowhere data.test=[]
refused 2 "data.test is empty" -- "$dips" predict run.yaml --checkpoint nowhere --out p data.test=[]
python3 "$source/tests/launch/spoil.py" "$good" none.safetensors none
refused 3 "no samples" none.safetensors -- run data.train=[none.safetensors]

say "the same from several processes"
python3 "$source/tests/launch/spoil.py" "$good" spoilt.safetensors set label 17 0.5
refused 3 "spoilt.safetensors: label[17] is 0.5" -- run data.train=[spoilt.safetensors] cluster.servers=2 cluster.workers=2
refused 3 "no samples" none.safetensors -- run data.train=[none.safetensors] cluster.workers=2
refused 3 nowhere.safetensors -- run data.counts=nowhere.safetensors cluster.servers=2

say "a history of length 0 trains"
python3 "$source/tests/launch/spoil.py" "$good" short.safetensors histories
train short train.steps=4 data.train=[short.safetensors]

say "a checkpoint of another schema, or a broken one"
train other train.steps=4
cp other/run.yaml kept.yaml
refused 3 goods 6 7 -- "$dips" train run.yaml --run other train.steps=8 tables.goods.dim=7
refused 3 mlp.0.weight -- "$dips" train run.yaml --run other train.steps=8 model.mlp.units=[9]
refused 2 "model din" history -- "$dips" train run.yaml --run other model.history=""
cmp kept.yaml other/run.yaml || fail "a refused configuration took the place of the run's"
checkpoint=$(cut_at other 4)
refused 3 goods 6 7 -- "$dips" eval run.yaml --checkpoint "$checkpoint" data.test=["$good"] tables.goods.dim=7
"$dips" eval run.yaml --checkpoint "$checkpoint" data.test=["$good"] data.train=[] --json >eval.json ||
    fail "eval of a table with exact penalties wants the counts of the training data"
python3 "$source/tests/launch/spoil.py" "$checkpoint/dense.safetensors" flipped flip 500
cp flipped "$checkpoint/dense.safetensors"
refused 3 dense.safetensors -- "$dips" train run.yaml --run other train.steps=8
rm "$checkpoint/dense.safetensors"
refused 3 dense.safetensors -- "$dips" eval run.yaml --checkpoint "$checkpoint" data.test=["$good"]
[ "$(ls other/checkpoints)" = "$(basename "$checkpoint")" ] || fail "the bad checkpoint is gone"

say "programs and ports"
refused 5 mpirun -- env PATH=/nonexistent "$dips" train run.yaml --run bad cluster.workers=2
rm -f port
python3 - >port <<'PY' &
import socket, sys, time
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
print(s.getsockname()[1], flush=True)
time.sleep(20)
PY
holder=$!
trap 'kill $holder 2>/dev/null' EXIT
while [ ! -s port ]; do sleep 0.05; done
refused 5 "127.0.0.1:$(cat port)" -- "$dips" train run.yaml --run bad --attach --listen "127.0.0.1:$(cat port)"

say "numbers that are not finite"
sed 's/^features:/&\n  price: {kind: float}/; s/profile: \[user\]/profile: [user, price]/' run.yaml >float.yaml
python3 "$source/tests/launch/spoil.py" "$good" float.safetensors add price F32 0.5
python3 "$source/tests/launch/spoil.py" float.safetensors nan.safetensors set price 200 nan
nan() { "$dips" train float.yaml --run bad data.shuffle=false checkpoint.every='5 steps' "$@"; }
for value in $(by_build "inf nan" "1e38 inf nan"); do # the square of 1e38 is a double
    python3 "$source/tests/launch/spoil.py" float.safetensors nan.safetensors set price 200 $value
    refused 3 "step 7 " "step 5" train.max_bad_steps -- nan data.train=[nan.safetensors] train.steps=12
    "$dips" checkpoint verify "$(cut_at bad 5)" >/dev/null || fail "the last good checkpoint is not there"
done
refused 3 "step 7 " "step 5" -- nan data.train=[nan.safetensors] train.steps=12 cluster.servers=1 cluster.workers=2
rm -rf bad
nan data.train=[nan.safetensors] train.steps=12 train.max_bad_steps=1 >nan.out 2>nan.err ||
    fail "a bad step was allowed: $(cat nan.err)"
grep -q "step 7 " nan.err || fail "the skipped step is not named: $(cat nan.err)"
"$dips" checkpoint verify "$(cut_at bad 12)" >/dev/null
grep '"bad_steps":1' bad/metrics.jsonl | head -n 1 | grep -q '"loss":null' ||
    fail "a skipped step has a loss: $(cat bad/metrics.jsonl)"
rm -rf bad
python3 "$source/tests/launch/spoil.py" float.safetensors nan.safetensors set price 0 nan
refused 3 "step 1 " "there is no checkpoint yet" -- nan data.train=[nan.safetensors] train.steps=12
