#!/usr/bin/env bash
# 20 steps of DIN, with three update rules, two penalties and a schedule, against PyTorch.
. "$(dirname "$0")/lib.sh"
. "$source/tests/launch/peers.sh"
peer_python 'torch, numpy' || { echo "skipped: PyTorch is not to be had"; exit 77; }
rm -rf data first last && mkdir data
"$dips" prepare synthetic --out data/world --users 200 --goods 500 --cates 20 --samples 1000 \
    --test-samples 100 --history 12 --seed 5
cat >run.yaml <<'Y'
tables:
  goods: {dim: 6, optimizer: rowwise_adagrad, lr: 0.05, penalty: {kind: minibatch_aware, lambda: 0.3}, init: {scale: 0.1}}
  cate:  {dim: 4, optimizer: adam, lr: 0.01, init: {scale: 0.1}}
  user:  {dim: 5, optimizer: adagrad, lr: 0.05, penalty: {kind: l2, lambda: 0.01}, init: {scale: 0.1}}
features:
  user:    {table: user}
  goods:   {table: goods}
  cate:    {table: cate}
  history: {columns: {goods: {table: goods}, cate: {table: cate}}}
model:
  kind: din
  profile: [user]
  candidate: [goods, cate]
  history: history
  attention: {score: mlp, parts: [q, k, q-k, q*k], units: [8, 5], activation: dice, normalize: none}
  mlp: {units: [12, 7], activation: dice}
data:  {train: data/world/train-*.safetensors, test: data/world/test-*.safetensors, shuffle: false}
train: {batch: 64, seed: 3}
dense: {optimizer: adam, lr: 0.01}
schedule: {kind: exponential, rate: 0.9, every: 10}
Y
train first train.steps=0
train last train.steps=20
tolerance=$(by_build 1e-9 2e-3)
"$python" "$source/tests/launch/torch_din.py" data/world "$(cut_at first 0)" "$(cut_at last 20)" \
    20 64 $tolerance
