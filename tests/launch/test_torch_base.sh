#!/usr/bin/env bash
# 8 steps of Base with each way of pooling, rows and dense weights by SGD, against PyTorch.
. "$(dirname "$0")/lib.sh"
. "$source/tests/launch/peers.sh"
peer_python 'torch, numpy' || { echo "skipped: PyTorch is not to be had"; exit 77; }
rm -rf data runs && mkdir data runs
"$dips" prepare synthetic --out data/world --world sessions --users 200 --goods 500 --cates 20 \
    --samples 400 --test-samples 10 --seed 5
cat >run.yaml <<'Y'
tables:
  goods: {dim: 4, optimizer: sgd, lr: 0.5, init: {scale: 0.3}}
  cate:  {dim: 2, optimizer: sgd, lr: 0.5, init: {scale: 0.3}}
  user:  {dim: 3, optimizer: sgd, lr: 0.5, init: {scale: 0.3}}
features:
  user:    {table: user}
  goods:   {table: goods}
  cate:    {table: cate}
  history: {columns: {goods: {table: goods}, cate: {table: cate}, time: {kind: time}}}
model:
  kind: base
  profile: [user]
  candidate: [goods, cate]
  history: history
  half_life: 86400
  mlp: {units: [6, 5], activation: prelu}
data:  {train: data/world/train-*.safetensors, shuffle: false}
train: {batch: 50, seed: 3}
dense: {optimizer: sgd, lr: 0.3}
Y
# variant NAME WORDS...: its first and its last state
variant() {
    train "runs/$1-first" train.steps=0 "${@:2}"
    train "runs/$1-last" train.steps=8 "${@:2}"
}
variant sum model.pool=sum model.mlp.activation=dice dice.eps=0.01
variant mean model.pool=mean model.mlp.activation=relu model.mlp.batch_norm=true
variant decay model.pool=decay
variant decay_normalized model.pool=decay model.decay_normalized=true model.mlp.activation=sigmoid
tolerance=$(by_build 1e-10 1e-4)
"$python" "$source/tests/launch/torch_base.py" data/world runs 8 50 $tolerance
