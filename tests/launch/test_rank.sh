# `dips rank` gives every candidate the probability that `dips predict` gives the sample, whatever
# the model, and says what is wrong with a request.
. "$(dirname "$0")/lib.sh"
tests=$source/tests/launch

world data --history 6
run_file run.yaml data
sed -i "s/^data: {/data: {test: data\/test-*.safetensors, /; s/^data:  {/data:  {test: data\/test-*.safetensors, /" run.yaml
shard=$(ls data/test-*.safetensors | head -n 1)
python3 "$tests/requests.py" ask "$shard" >requests.jsonl

# rank FOLDER WORDS...: against predict.
rank() {
    local folder=$1
    shift
    "$dips" predict run.yaml --checkpoint "$folder" --out p.safetensors "$@" >out.txt 2>err.txt ||
        fail "predict: $(cat err.txt)"
    for plain in "" --plain; do
        "$dips" rank run.yaml --checkpoint "$folder" $plain "$@" <requests.jsonl >answers.jsonl \
            2>err.txt || fail "rank $*: $(cat err.txt)"
        grep -q "requests of 7 candidates: p50 .* ms, p90 " err.txt || fail "$(cat err.txt)"
        python3 "$tests/requests.py" check "$shard" p.safetensors answers.jsonl ||
            fail "rank $* $plain is not what predict says"
    done
}

train din train.steps=30
rank din cluster.servers=2 cluster.workers=3
train base train.steps=30 model.kind=base
rank base model.kind=base
softly=(model.attention.score=bilinear model.attention.normalize=softmax)
for kind in augru augru_code; do
    words=(model.kind=dien model.auxiliary.kind=none model.evolution.kind=$kind "${softly[@]}")
    train dien-$kind train.steps=30 "${words[@]}"
    rank dien-$kind "${words[@]}"
done
words=(model.kind=dsin features.history.columns.time.kind=time model.sessions.gap=43200 "${softly[@]}")
train dsin train.steps=30 "${words[@]}"
rank dsin "${words[@]}"

# The same requests as samples of a file, parted where only candidates differ, or by offsets; each
# candidate has what predict says of the sample.
python3 "$tests/requests.py" samples "$shard" alike.safetensors
python3 "$tests/requests.py" samples "$shard" parted.safetensors right
"$dips" predict run.yaml --checkpoint din --out p.safetensors data.test=alike.safetensors >out.txt 2>err.txt ||
    fail "predict: $(cat err.txt)"
for file in alike parted; do
    "$dips" rank run.yaml --checkpoint din --requests $file.safetensors >answers.jsonl 2>err.txt ||
        fail "rank --requests $file: $(cat err.txt)"
    python3 "$tests/requests.py" check-samples 200 p.safetensors answers.jsonl ||
        fail "rank --requests $file.safetensors is not what predict says"
done

# A data shard as it is: no two of its samples are alike, each is a request of its own.
"$dips" predict run.yaml --checkpoint din --out p.safetensors >out.txt 2>err.txt || fail "$(cat err.txt)"
"$dips" rank run.yaml --checkpoint din --requests "$shard" --top 1 >answers.jsonl 2>err.txt || fail "$(cat err.txt)"
python3 "$tests/requests.py" check-samples 200 p.safetensors answers.jsonl || fail "a shard's samples"

# refuse_file OFFSETS WORDS: requests parted so are refused with these words.
refuse_file() {
    local status=0
    python3 "$tests/requests.py" samples "$shard" bad.safetensors "$1"
    "$dips" rank run.yaml --checkpoint din --requests bad.safetensors >out.txt 2>err.txt || status=$?
    [ $status -eq 3 ] && grep -qF "$2" err.txt || fail "$1: status $status: '$(cat err.txt)' does not say '$2'"
}
refuse_file '[0, 1399]' "bad.safetensors: request.offsets ends with 1399, there are 1400 samples"
refuse_file '[1, 1400]' "request.offsets[0] is 1, wanted 0"
refuse_file '[0, 7, 7, 1400]' "request.offsets[2] = 7 is not above the one before it"
refuse_file '[0, 7, 15, 1400]' "request 1: sample 14 has another user than sample 7"

# Items tell what a candidate does not say; --top is a limit.
echo '{"user": 1, "history": [], "candidates": [3, 4, 5]}' >one.jsonl
"$dips" rank run.yaml --checkpoint din --items 'data/train-*.safetensors' --top 2 <one.jsonl \
    >answers.jsonl 2>err.txt || fail "items: $(cat err.txt)"
python3 - <<'PY' || fail "items: $(cat answers.jsonl)"
import json
(answer,) = map(json.loads, open("answers.jsonl"))
assert len(answer["candidates"]) == 2 and all(c["goods"] in (3, 4, 5) for c in answer["candidates"])
PY

# refused STATUS WORDS LINE [flags]: the request, or the command, is refused with these words.
refused() {
    local wanted=$1 words=$2 line=$3 status=0
    shift 3
    printf '%s\n' "$line" | "$dips" rank run.yaml --checkpoint din "$@" >out.txt 2>err.txt || status=$?
    [ "$status" -eq "$wanted" ] || fail "$line: status $status, wanted $wanted: $(cat err.txt)"
    grep -qF "$words" err.txt || fail "$line: '$(cat err.txt)' does not say '$words'"
}
good='"goods": 1, "cate": 2'
refused 3 "request in line 1: no JSON" '{'
refused 3 "no JSON object" '[]'
refused 3 "there are no candidates" '{"user": 1}'
refused 3 "user is missing" "{\"candidates\": [{$good}]}"
refused 3 "user is no id" "{\"user\": -1, \"candidates\": [{$good}]}"
refused 3 "user is a list" "{\"user\": [1], \"candidates\": [{$good}]}"
refused 3 "candidate 1: cate is missing; --items can tell it" "{\"user\": 1, \"candidates\": [{$good}, {\"goods\": 1}]}"
refused 3 "history.cate has 1 values" "{\"user\": 1, \"history\": {\"goods\": [1, 2], \"cate\": [1]}, \"candidates\": []}"
refused 3 "history.cate[0] is missing" "{\"user\": 1, \"history\": [{\"goods\": 1}], \"candidates\": []}"
refused 3 "history.time[0] is missing" "{\"user\": 1, \"history\": [{$good}], \"candidates\": []}" features.history.columns.time.kind=time
refused 3 "candidates.cate is no list" '{"user": 1, "candidates": {"goods": [1, 2], "cate": [1]}}'
refused 3 "do not know the id 99999" '{"user": 1, "candidates": [99999]}' --items 'data/train-*.safetensors'
refused 3 "no such file" '{}' --items 'nowhere.safetensors'
refused 3 "no such file" '' --requests nowhere.safetensors
refused 3 "neither a checkpoint" '{}' --checkpoint data
printf '' | "$dips" rank run.yaml --checkpoint din >out.txt 2>err.txt || fail "no requests: $(cat err.txt)"
[ ! -s out.txt ] || fail "no requests, but answers"
