#!/usr/bin/env bash
# DSIN, whose batches have axes and layers of their own, resumes bit for bit on any number of
# servers and workers, and on two workers computes what it does on one.
. "$(dirname "$0")/lib.sh"
"$dips" prepare synthetic --out data --overwrite --world sessions --users 60 --goods 150 --cates 12 \
    --samples 1200 --test-samples 100 --seed 3 >/dev/null
cat >run.yaml <<'YAML'
tables:
  goods: {dim: 6, init: {scale: 0.1}}
  cate:  {dim: 4, optimizer: adam, lr: 0.01, init: {scale: 0.1}}
  user:  {dim: 5, optimizer: adagrad, lr: 0.05, init: {scale: 0.1}}
features:
  user:    {table: user}
  goods:   {table: goods}
  cate:    {table: cate}
  history: {columns: {goods: {table: goods}, cate: {table: cate}, time: {kind: time}}}
model:
  kind: dsin
  profile: [user]
  candidate: [goods, cate]
  history: history
  lstm: {dropout: 0.1}
  mlp: {units: [12, 6], dropout: 0.1}
data:  {train: data/train-*.safetensors}
train: {batch: 32, seed: 7}
dice:  {sync: true}
YAML
at() { cut_at "$1" 30; }

train whole train.steps=30
train stopped train.steps=11
resume stopped train.steps=30
same "$(at stopped)" "$(at whole)"

say "2 servers, then 2 servers and 2 workers"
train servers train.steps=30 cluster.servers=2
same "$(at servers)" "$(at whole)"
train both train.steps=30 cluster.servers=2 cluster.workers=2
train again train.steps=17 cluster.servers=2 cluster.workers=2
resume again train.steps=30 cluster.servers=1 cluster.workers=2
same "$(at again)" "$(at both)"

sgd=(tables.{goods,cate,user}.optimizer=sgd dense.optimizer=sgd model.mlp.activation=prelu)
train one train.steps=30 "${sgd[@]}"
train two train.steps=30 cluster.servers=2 cluster.workers=2 "${sgd[@]}"
bound=$(by_build "--largest 1e-9" "--norm 1e-5")
python3 "$source/tests/launch/compare.py" "$(at two)" "$(at one)" $bound ||
    fail "two workers and one differ"
