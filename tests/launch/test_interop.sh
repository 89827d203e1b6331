# A Python program and dips read each other's files: a data shard and a checkpoint of dips
# are read by numpy and the safetensors package, and by a reader of twenty lines; a data
# shard of Python trains, and Python computes the same probabilities from the checkpoint.
set -eu
dips=$1
source=$2

command -v python3 > /dev/null || { echo "skipped: there is no python3"; exit 77; }
. "$source/tests/launch/peers.sh"
ways="--own"
if peer_python 'numpy, safetensors.numpy'; then
    ways="--own library"
else
    python=python3
    echo "numpy and safetensors are not to be had: the small reader alone is tested"
fi

interop() { # interop WAY COMMAND ...
    way=${1#library}
    shift
    "$python" "$source/tests/launch/interop.py" $way "$@"
}

rm -rf data own library run-*
"$dips" prepare synthetic --out data --samples 2000 --test-samples 200 --users 100 --goods 200 \
    --cates 10 > prepare.txt
for way in $ways; do
    interop "$way" data data
done

cat > run.yaml << 'END'
tables:
    user:  {dim: 4}
    goods: {dim: 6}
    tag:   {dim: 3}
features:
    user:    {table: user}
    goods:   {table: goods}
    price:   {kind: float}
    tags:    {table: tag, pool: mean}
    history: {columns: {goods: {table: goods}}}
model:
    kind: base
    profile: [user, price]
    candidate: [goods]
    history: history
    context: [tags]
    pool: sum
    mlp: {units: [8], activation: relu}
train: {batch: 64, epochs: 4}
END
for way in $ways; do
    folder=${way#--}
    mkdir "$folder"
    interop "$way" write "$folder"
    set -- "data.train=$folder/train-*.safetensors" "data.test=$folder/test-*.safetensors"
    "$dips" train run.yaml --run "run-$folder" "$@" > "train-$folder.txt" 2>&1 || {
        cat "train-$folder.txt"
        exit 1
    }
    "$dips" checkpoint verify "run-$folder" > verify.txt
    "$dips" predict run.yaml --checkpoint "run-$folder" --out "$folder.safetensors" "$@"
    newest=$(ls -d "run-$folder"/checkpoints/step-* | tail -1)
    for reader in $ways; do
        interop "$reader" checkpoint "$newest" "$folder"
        interop "$reader" predictions "$newest" "$folder" "$folder.safetensors"
    done
done
