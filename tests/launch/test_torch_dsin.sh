#!/usr/bin/env bash
# 3 steps of DSIN in its forms, rows and dense weights by SGD, against PyTorch.
. "$(dirname "$0")/lib.sh"
. "$source/tests/launch/peers.sh"
peer_python 'torch, numpy' || { echo "skipped: PyTorch is not to be had"; exit 77; }
rm -rf data runs && mkdir data runs
"$dips" prepare synthetic --out data/world --world sessions --users 200 --goods 500 --cates 20 \
    --samples 100 --test-samples 10 --seed 5
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
  kind: dsin
  profile: [user]
  candidate: [goods, cate]
  history: history
  sessions: {gap: 1800, keep: 5, max_len: 10}
  mlp: {units: [6, 5], activation: prelu}
data:  {train: data/world/train-*.safetensors, shuffle: false}
train: {batch: 25, seed: 3}
dense: {optimizer: sgd, lr: 0.3}
Y
# variant NAME WORDS...: its first and its last state
variant() {
    train "runs/$1-first" train.steps=0 "${@:2}"
    train "runs/$1-last" train.steps=3 "${@:2}"
}
variant paper
variant code model.sessions.encoding=sinusoid model.sessions.number_from=newest model.sessions.max_len=4 \
    model.sessions.keep=4 model.transformer.{heads=6,blinding=true,output=false,layer_norm=false,bias=false} \
    model.lstm.{layers=2,peepholes=false,join=average,bias=1} \
    model.attention.{score=mlp,activation=sigmoid} 'model.attention.units=[5, 4]'
variant plain model.sessions.{gap=300,keep=3,min_len=2} model.transformer.{heads=1,hidden=2,norm_eps=0.1} \
    model.lstm.{units=5,peepholes=false} model.attention.normalize=none
tolerance=$(by_build 1e-10 1e-4)
"$python" "$source/tests/launch/torch_dsin.py" data/world runs 3 25 $tolerance
