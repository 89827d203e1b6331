#!/usr/bin/env bash
# 12 steps of DSTN in each mode against PyTorch.
. "$(dirname "$0")/lib.sh"
. "$source/tests/launch/peers.sh"
peer_python 'torch, numpy' || { echo "skipped: PyTorch is not to be had"; exit 77; }
peer=$source/tests/launch/torch_dstn.py
rm -rf data run-* && mkdir data
"$python" "$peer" data data
cat >run.yaml <<'Y'
tables:
  user: {dim: 3, optimizer: sgd, lr: 0.1, init: {scale: 0.3}}
  item: {dim: 5, optimizer: sgd, lr: 0.1, init: {scale: 0.3}}
  cate: {dim: 2, optimizer: sgd, lr: 0.1, init: {scale: 0.3}}
features:
  user:      {table: user}
  item:      {table: item}
  cate:      {table: cate}
  above:     {columns: {item: {table: item}, cate: {table: cate}}}
  clicked:   {columns: {item: {table: item}, cate: {table: cate}}}
  unclicked: {columns: {item: {table: item}, cate: {table: cate}}}
model:
  kind: dstn
  profile: [user]
  candidate: [item, cate]
  contextual: above
  clicked: clicked
  unclicked: unclicked
  dstn: {hidden: 7}
  mlp: {units: [8, 5], activation: prelu}
data:  {train: data/train-*.safetensors, shuffle: false}
train: {batch: 50, seed: 3}
dense: {optimizer: sgd, lr: 0.1}
Y
tolerance=$(by_build 1e-9 1e-4)
for mode in pool self interactive; do
    train run-$mode-first train.steps=0 model.dstn.mode=$mode
    train run-$mode-last train.steps=12 model.dstn.mode=$mode
    "$python" "$peer" compare $mode data "$(cut_at run-$mode-first 0)" \
        "$(cut_at run-$mode-last 12)" 12 50 $tolerance
done
