#!/usr/bin/env bash
# LR, FM, AFM, Base, DIN and DSTN on two servers and two workers: as in one process, and stopped
# and taken up again bit for bit as never stopped; what `dips crosses` tells of AFM's pairs.
. "$(dirname "$0")/lib.sh"
rm -rf crosses page
"$dips" prepare synthetic --world crosses --fields 6 --values 8 --samples 4000 --test-samples 100 \
    --out crosses >/dev/null
"$dips" prepare synthetic --world page --users 50 --goods 60 --cates 6 --samples 1500 --test-samples 100 \
    --out page >/dev/null

crossed() {
    cat <<YAML
tables: {value: {dim: 5, optimizer: adagrad, init: {scale: 0.1}}}
features:
  field_0: {table: value}
  field_1: {table: value}
  field_2: {table: value}
  field_3: {table: value}
  field_4: {table: value}
  field_5: {table: value}
model:
  kind: $1
  profile: [field_0, field_1, field_2]
  candidate: [field_3, field_4, field_5]
  afm: {attention_factor: 4, dropout: 0.2, attention_l2: 0.001}
data:  {train: crosses/train-*.safetensors, test: crosses/test-*.safetensors}
train: {batch: 128, epochs: 2, seed: 7}
dense: {lr: 0.02}
YAML
}

# ads KIND LINE...: a model of ads; lines of its own.
ads() {
    cat <<YAML
tables:
  ad:   {dim: 4, init: {scale: 0.1}}
  cate: {dim: 4, init: {scale: 0.1}}
features:
  ad:         {table: ad}
  cate:       {table: cate}
  contextual: {columns: {ad: {table: ad}, cate: {table: cate}}, max_len: 3}
  clicked:    {columns: {ad: {table: ad}, cate: {table: cate}}}
  unclicked:  {columns: {ad: {table: ad}, cate: {table: cate}}}
model:
  kind: $1
  candidate: [ad, cate]
$(printf '  %s\n' "${@:2}")
  mlp: {units: [8], activation: prelu}
data:  {train: page/train-*.safetensors, test: page/test-*.safetensors}
train: {batch: 128, epochs: 1, seed: 7}
YAML
}

auc() { sed -n 's/^{"event": *"eval".*"auc": *\([0-9.]*\).*/\1/p' "$1/metrics.jsonl" | tail -n 1; }

# check NAME STEPS: run.yaml in one process; and on many, also stopped after 5 of so many steps.
check() {
    local many=(cluster.servers=2 cluster.workers=2)
    train "$1" train.steps="$2"
    train "$1-2x2" train.steps="$2" "${many[@]}" checkpoint.every="5 steps" checkpoint.keep=10
    train "$1-again" train.steps=5 "${many[@]}"
    resume "$1-again" train.steps="$2" "${many[@]}"
    same "$(cut_at "$1-2x2" "$2")" "$(cut_at "$1-again" "$2")"
    python3 - "$(auc "$1")" "$(auc "$1-2x2")" <<'P' || fail "$1: AUC on 2 x 2 differs"
import sys
one, many = map(float, sys.argv[1:])
sys.exit(abs(one - many) > 0.01)
P
    say "$1: AUC $(auc "$1"), on 2 x 2 $(auc "$1-2x2")"
}

# served NAME DATA: a data shard's samples as requests have what predict says.
served() {
    "$dips" predict run.yaml --checkpoint "$1" --out p.safetensors >out.txt 2>err.txt || fail "$(cat err.txt)"
    "$dips" rank run.yaml --checkpoint "$1" --requests "$2/test-00000.safetensors" >answers.jsonl 2>err.txt ||
        fail "rank of $1: $(cat err.txt)"
    python3 "$source/tests/launch/requests.py" check-samples "$(wc -l <answers.jsonl)" p.safetensors answers.jsonl ||
        fail "rank of $1 is not what predict says"
}

for model in lr fm afm; do
    crossed $model >run.yaml
    check $model 20
    served $model crosses
done
crossed afm >run.yaml
"$dips" crosses run.yaml --checkpoint afm --top 3 >crosses.txt
grep -q 'and 12 more' crosses.txt || fail "15 pairs, 3 of them shown: $(cat crosses.txt)"
"$dips" crosses run.yaml --checkpoint afm --top 15 --json |
    python3 -c 'import json, sys
pairs = [json.loads(line) for line in sys.stdin]
assert len(pairs) == 15 and abs(sum(p["weight"] for p in pairs) - 1) < 1e-5, pairs
assert pairs == sorted(pairs, key=lambda p: -p["weight"])' || fail "the weights are no shares"
status=0
"$dips" crosses run.yaml --checkpoint fm 2>err.txt || status=$?
[ $status = 3 ] && grep -q 'no model of kind afm' err.txt || fail "FM has no weights: $status $(cat err.txt)"
for model in base din; do
    ads $model "history: clicked" "attention: {units: [6]}" >run.yaml
    check $model 10
done
for mode in self interactive; do
    ads dstn "contextual: contextual" "clicked: clicked" "unclicked: unclicked" \
        "dstn: {mode: $mode, hidden: 6}" >run.yaml
    check dstn-$mode 10
    served dstn-$mode page
    python3 "$source/tests/launch/page.py" "$dips" dstn-$mode || fail "a page of dstn-$mode"
done
