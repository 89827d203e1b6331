# `dips checkpoint` on what `dips train` wrote: lists, inspects, verifies, names damage.
set -eu
dips=$1
source=$2

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# refused STATUS WORDS COMMAND ...: it ends with this status and says these words.
refused() {
    wanted=$1 words=$2 status=0
    shift 2
    "$@" > out.txt 2> error.txt || status=$?
    [ "$status" -eq "$wanted" ] || fail "$*: status $status, wanted $wanted: $(cat error.txt)"
    grep -qF "$words" error.txt || fail "$*: '$(cat error.txt)' does not say '$words'"
}

rm -rf data run
"$dips" prepare synthetic --out data --samples 1000 --test-samples 100 --users 50 --goods 100 \
    --cates 10 > prepare.txt
"$dips" train "$source/configs/synthetic-din.yaml" --run run "data.train=data/train-*.safetensors" \
    "data.test=data/test-*.safetensors" train.batch=100 train.steps=10 \
    checkpoint.every="4 steps" > train.txt 2>&1 || fail "$(cat train.txt)"
step=run/checkpoints/step-000000000010

"$dips" checkpoint inspect run > list.txt
[ "$(awk 'NR > 1 {print $1}' list.txt | tr '\n' ' ')" = "4 8 10 " ] || fail "$(cat list.txt)"
"$dips" checkpoint inspect $step > one.txt
grep -qE '^user +8 +rowwise_adagrad +50 ' one.txt || fail "table user: $(cat one.txt)"
grep -qE '^mlp.1.weight +F[0-9]+ +\[40, 80\] +m v step$' one.txt || fail "mlp.1: $(cat one.txt)"
grep -q '^dense.safetensors ' one.txt || fail "files: $(cat one.txt)"
"$dips" checkpoint inspect --configuration $step | diff - run/run.yaml > diff.txt ||
    fail "the configuration is another: $(cat diff.txt)"

# What reads the last checkpoint.
evaluate() {
    "$dips" eval run/run.yaml --checkpoint $step --json "$@"
}
predict() {
    "$dips" predict run/run.yaml --checkpoint $step --out probability.safetensors "$@"
}
evaluate > eval.json
grep '"event":"eval"' run/metrics.jsonl | tail -n 1 | diff - eval.json > diff.txt ||
    fail "eval and training's last evaluation differ: $(cat diff.txt)"

"$dips" checkpoint verify run > verify.txt
grep -q '^whole: 3 checkpoints$' verify.txt || fail "$(cat verify.txt)"
"$dips" checkpoint verify $step | grep -q '^whole: 1 checkpoint$' || fail "one checkpoint"

cp $step/dense.safetensors whole
printf 'x' | dd of=$step/dense.safetensors bs=1 seek=5000 conv=notrunc 2> dd.txt
refused 3 "$step/dense.safetensors is damaged" "$dips" checkpoint verify run
refused 3 "$step/dense.safetensors is damaged" evaluate
refused 3 "$step/dense.safetensors is damaged" evaluate cluster.workers=2
refused 3 "$step/dense.safetensors is damaged" predict
head -c 5000 whole > $step/dense.safetensors
refused 3 "dense.safetensors has 5000 bytes" "$dips" checkpoint verify $step
rm $step/dense.safetensors
refused 3 "dense.safetensors is missing" "$dips" checkpoint verify $step
cp whole $step/dense.safetensors
"$dips" checkpoint verify $step > verify.txt
sed -i 's/"step": 10/"step": 11/' $step/manifest.json
refused 3 "manifest.json: its checksum does not fit" "$dips" checkpoint verify $step
rm $step/manifest.json
refused 3 "there is no complete checkpoint" "$dips" checkpoint verify $step
"$dips" checkpoint verify run | grep -q '^whole: 2 checkpoints$' || fail "two are left"

refused 3 "nowhere: there is no complete checkpoint" "$dips" checkpoint inspect nowhere
refused 2 "wanted one DIR" "$dips" checkpoint verify
