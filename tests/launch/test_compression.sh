#!/usr/bin/env bash
# checkpoint.compression: the same checkpoint in fewer bytes, for whatever reads checkpoints.
. "$(dirname "$0")/lib.sh"
world data --users 2000 --goods 6000 --samples 3200
run_file run.yaml data
zstd=(checkpoint.compression=zstd)
"$dips" train run.yaml --dry-run "${zstd[@]}" >dry.out 2>dry.err || {
    grep -q 'built without zstd' dry.err || fail "$(cat dry.err)"
    say "skipped: built without zstd"
    exit 77
}
every=("checkpoint.every=40 steps" "checkpoint.delta_every=20 steps" checkpoint.keep=100)

train plain train.steps=80 "${every[@]}"
train small train.steps=60 "${every[@]}" "${zstd[@]}" cluster.servers=2

say "files are compressed, and smaller"
for step in 20 40 60; do
    for k in 0 1; do
        [ -f "$(cut_at small $step)/shard-000$k-of-0002.safetensors.zst" ] || fail "step $step"
        [ ! -e "$(cut_at small $step)/shard-000$k-of-0002.safetensors" ] || fail "step $step"
    done
done
bytes() { cat "$(cut_at "$1" 40)"/shard* | wc -c; }
[ "$(bytes small)" -lt $(($(bytes plain) * 95 / 100)) ] || fail "$(bytes small) of $(bytes plain)"
if command -v zstd >/dev/null; then
    zstd -q -t "$(cut_at small 40)"/shard*.zst || fail "zstd knows better"
fi

say "the tools read them"
for step in 20 40 60; do
    "$dips" checkpoint verify "$(cut_at small $step)" >tool.out 2>&1 || fail "$(cat tool.out)"
    "$dips" checkpoint diff "$(cut_at small $step)" "$(cut_at plain $step)" >tool.out 2>&1 ||
        fail "$(cat tool.out)"
done
for tool in list inspect; do
    "$dips" checkpoint $tool small >tool.out 2>&1 || fail "$(cat tool.out)"
done
rm -rf three folded
"$dips" checkpoint reshard --shards 3 "$(cut_at small 40)" three >tool.out 2>&1 || fail "$(cat tool.out)"
same three "$(cut_at plain 40)"
"$dips" checkpoint compact "$(cut_at small 60)" folded >tool.out 2>&1 || fail "$(cat tool.out)"
"$dips" checkpoint diff folded "$(cut_at plain 60)" >tool.out || fail "$(cat tool.out)"

say "a run goes on from one, on another number of servers, and without"
resume small train.steps=80 "${every[@]}" cluster.servers=3
"$dips" checkpoint diff "$(cut_at small 80)" "$(cut_at plain 80)" >tool.out || fail "$(cat tool.out)"

say "a flipped bit is named"
file=$(cut_at small 40)/shard-0001-of-0002.safetensors.zst
python3 - "$file" <<'END'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(3000)
    byte = f.read(1)[0]
    f.seek(3000)
    f.write(bytes([byte ^ 4]))
END
status=0
"$dips" checkpoint verify "$(cut_at small 40)" >tool.out 2>&1 || status=$?
[ $status = 3 ] || fail "verify ended with status $status"
grep -q "$(basename "$file")" tool.out || fail "$(cat tool.out)"
say done
