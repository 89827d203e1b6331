#!/usr/bin/env bash
# 8 steps of DIEN in its forms, rows and dense weights by SGD, against PyTorch.
. "$(dirname "$0")/lib.sh"
. "$source/tests/launch/peers.sh"
peer_python 'torch, numpy' || { echo "skipped: PyTorch is not to be had"; exit 77; }
rm -rf data runs && mkdir data runs
"$dips" prepare synthetic --out data/world --world drift --negatives uniform --users 200 --goods 500 --cates 20 \
    --samples 600 --test-samples 10 --history 7 --lengths uniform --seed 5
cat >run.yaml <<'Y'
tables:
  goods: {dim: 4, optimizer: sgd, lr: 0.5, init: {scale: 0.3}}
  cate:  {dim: 3, optimizer: sgd, lr: 0.5, init: {scale: 0.3}}
  user:  {dim: 2, optimizer: sgd, lr: 0.5, init: {scale: 0.3}}
features:
  user:    {table: user}
  goods:   {table: goods}
  cate:    {table: cate}
  history:
    columns: {goods: {table: goods}, cate: {table: cate},
              negative_goods: {table: goods}, negative_cate: {table: cate}}
model:
  kind: dien
  profile: [user]
  candidate: [goods, cate]
  history: history
  auxiliary: {units: [5, 4], mean_over: samples, negatives: [negative_goods, negative_cate]}
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
variant augru
variant augru_code model.evolution.kind=augru_code model.auxiliary.mean_over=events model.auxiliary.weight=0.5
variant agru model.evolution.kind=agru model.auxiliary.kind=dot
variant aigru model.evolution.kind=aigru model.auxiliary.kind=none model.evolution.units=5
variant sum model.evolution.kind=none model.evolution.units=9 model.auxiliary.units=[3] \
    model.attention.score=mlp model.attention.units=[4,3] model.attention.activation=sigmoid model.attention.scaled=true
# Widths of real models, for which floats have vector kernels of their own.
variant wide tables.goods.dim=20 tables.cate.dim=12 model.auxiliary.mean_over=events \
    'model.auxiliary.units=[100, 50]' 'model.mlp.units=[48, 32]'
tolerance=$(by_build 1e-10 1e-4)
"$python" "$source/tests/launch/torch_dien.py" data/world runs 8 50 $tolerance
