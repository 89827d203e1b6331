# `dips explain` shows a weight for each event of the history, as text and as a picture.
. "$(dirname "$0")/lib.sh"

world data
run_file run.yaml data
sed -i "s/^data:  *{/data: {test: data\/test-*.safetensors, /" run.yaml
train run train.steps=10

explain() { "$dips" explain run.yaml --checkpoint run "$@" >out.txt 2>err.txt || fail "$*: $(cat err.txt)"; }

explain --sample 3 --svg bars.svg
grep -q "^sample 3, goods [0-9]*, cate [0-9]*: probability 0\.[0-9]*$" out.txt || fail "$(cat out.txt)"
grep -qE "^  attention: [0-9]+ weights, their sum" out.txt || fail "$(cat out.txt)"
[ "$(grep -cE '^ +-?[0-9.]+ .* goods [0-9]+, cate [0-9]+' out.txt)" -ge 1 ] || fail "$(cat out.txt)"
python3 - <<'PY' || fail "bars.svg"
import xml.dom.minidom
picture = xml.dom.minidom.parse("bars.svg")
assert len(picture.getElementsByTagName("rect")) > 1
PY

# Dot scores, computed by hand: q . k of the rows; with softmax they sum to 1.
train dot train.steps=10 "model.attention.score=dot" "model.attention.normalize=softmax"
echo '{"user": 1, "history": {"goods": [3, 5, 9], "cate": [1, 2, 3]}, "candidates": [{"goods": 4, "cate": 2}, {"goods": 5, "cate": 2}]}' |
    "$dips" explain run.yaml --checkpoint dot model.attention.score=dot model.attention.normalize=softmax \
        >out.txt 2>err.txt || fail "$(cat err.txt)"
[ "$(grep -c 'attention: 3 weights, their sum 1.0000' out.txt)" -eq 2 ] || fail "$(cat out.txt)"
python3 - "$source/tests/launch" "$(cut_at dot 10)" <<'PY' || fail "other weights: $(cat out.txt)"
import math, re, sys
sys.path.insert(0, sys.argv[1])
from compare import numbers, read_checkpoint
c = read_checkpoint(sys.argv[2])
def row(table, id):
    ids, w = numbers(c[table + ".ids"]).tolist(), numbers(c[table + ".weight"])
    dim = len(w) // len(ids)
    return w[ids.index(id) * dim:(ids.index(id) + 1) * dim]
event = lambda goods, cate: [*row("goods", goods), *row("cate", cate)]
shown = [float(x) for x in re.findall(r"^ {4} *(-?[0-9.]+) ", open("out.txt").read(), re.M)]
wanted = []
for q in (event(4, 2), event(5, 2)):
    scores = [math.exp(sum(a * b for a, b in zip(q, event(*k)))) for k in ((3, 1), (5, 2), (9, 3))]
    wanted += [s / sum(scores) for s in scores]
assert len(shown) == 6 and all(abs(a - b) < 1e-4 for a, b in zip(shown, wanted)), (shown, wanted)
PY

# Names stand beside ids where there are some; a weight for each attribute where they are apart.
python3 - <<'PY'
import json, struct
ids, texts = list(range(200)), [f"thing {i} & co" for i in range(200)]
data = "".join(texts).encode()
offsets = [0]
for text in texts:
    offsets.append(offsets[-1] + len(text))
header = json.dumps({"ids": {"dtype": "U64", "shape": [200], "data_offsets": [0, 1600]},
    "offsets": {"dtype": "U64", "shape": [201], "data_offsets": [1600, 3208]},
    "bytes": {"dtype": "U8", "shape": [len(data)], "data_offsets": [3208, 3208 + len(data)]}}).encode()
open("data/names-goods.safetensors", "wb").write(struct.pack("<Q", len(header)) + header +
    struct.pack("<200Q", *ids) + struct.pack("<201Q", *offsets) + data)
PY
train apart train.steps=5 model.attention.groups=separate
explain --checkpoint apart --sample 1 --svg bars.svg model.attention.groups=separate
grep -qE "goods ([0-9]+) \(thing \1 & co\)" out.txt || fail "$(cat out.txt)"
grep -q "attention.goods: " out.txt && grep -q "attention.cate: " out.txt || fail "$(cat out.txt)"
grep -q "&amp; co" bars.svg || fail "bars.svg is not escaped"

# A model that weighs nothing says so.
train base train.steps=5 model.kind=base
status=0
"$dips" explain run.yaml --checkpoint base --sample 0 model.kind=base >out.txt 2>err.txt || status=$?
[ $status -eq 2 ] && grep -q "model base weighs nothing" err.txt || fail "status $status: $(cat err.txt)"
status=0
"$dips" explain run.yaml --checkpoint run --sample 100000 >out.txt 2>err.txt || status=$?
[ $status -eq 2 ] && grep -q "data.test has 200 samples" err.txt || fail "status $status: $(cat err.txt)"
