# `dips explain` shows a weight for each event, ad or pair of fields, as text and as a picture.
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
history='{"goods": [3, 5, 9], "cate": [1, 2, 3]}'
echo '{"user": 1, "history": '"$history"', "candidates": [{"goods": 4, "cate": 2}, {"goods": 5, "cate": 2}]}' |
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

# Pairs of fields by their names and ids, the heaviest first; their weights computed by hand.
"$dips" prepare synthetic --world crosses --fields 6 --values 8 --samples 2000 --test-samples 100 --overwrite \
    --out crosses >/dev/null
cat >crosses.yaml <<YAML
tables: {value: {dim: 5, optimizer: adagrad, init: {scale: 0.5}}}
features:
  field_0: {table: value}
  field_1: {table: value}
  field_2: {table: value}
  field_3: {table: value}
model:
  kind: afm
  profile: [field_0, field_1]
  candidate: [field_2, field_3]
  afm: {attention_factor: 3}
data:  {train: crosses/train-*.safetensors, test: crosses/test-*.safetensors}
train: {batch: 100, steps: 20, seed: 7}
dense: {lr: 0.05}
YAML
rm -rf afm
"$dips" train crosses.yaml --run afm >out.txt 2>err.txt || fail "$(cat err.txt)"
"$dips" explain crosses.yaml --checkpoint afm --sample 5 --svg pairs.svg >out.txt 2>err.txt || fail "$(cat err.txt)"
python3 - "$source/tests/launch" "$(cut_at afm 20)" crosses/test-00000.safetensors <<'PY' || fail "$(cat out.txt)"
import math, re, sys
sys.path.insert(0, sys.argv[1])
from compare import numbers, read, read_checkpoint
c = read_checkpoint(sys.argv[2])
data = {name: numbers((dtype, bytes)) for name, dtype, bytes in read(sys.argv[3])}
sample = [data[f"field_{i}"][5] for i in range(4)]
ids, w = numbers(c["value.ids"]).tolist(), numbers(c["value.weight"])
v = [w[ids.index(id) * 5 + 1 : ids.index(id) * 5 + 5] for id in sample]  # a row is [w, v]
W, b, h = (numbers(c["dense attention." + name]) for name in ("0.weight", "0.bias", "output.weight"))
scores = {}
for i in range(4):
    for j in range(i + 1, 4):
        q = [x * y for x, y in zip(v[i], v[j])]
        z = [b[t] + sum(W[4 * t + d] * q[d] for d in range(4)) for t in range(3)]
        scores[f"field_{i} {sample[i]} * field_{j} {sample[j]}"] = math.exp(sum(h[t] * max(z[t], 0) for t in range(3)))
wanted = {name: s / sum(scores.values()) for name, s in scores.items()}
shown = re.findall(r"^ {4} *([0-9.]+) \S+ +(field.*)$", open("out.txt").read(), re.M)
assert [name for _, name in shown] == sorted(wanted, key=lambda name: -wanted[name]), (shown, wanted)
assert all(abs(float(x) - wanted[name]) < 1e-4 for x, name in shown), (shown, wanted)
svg = open("pairs.svg").read()
assert all(name in svg for name in wanted)
PY
"$dips" explain crosses.yaml --checkpoint afm --sample 5 --top 2 >out.txt 2>err.txt || fail "$(cat err.txt)"
grep -q "and 4 more, of 0\.[0-9]* at most" out.txt || fail "$(cat out.txt)"

# The ads around one, by kind; without any, a sentence.
"$dips" prepare synthetic --world page --users 50 --goods 60 --cates 6 --samples 500 --test-samples 100 --overwrite \
    --out page >/dev/null
cat >page.yaml <<YAML
tables:
  ad:   {dim: 4, init: {scale: 0.1}}
  cate: {dim: 4, init: {scale: 0.1}}
features:
  ad:         {table: ad}
  cate:       {table: cate}
  contextual: {columns: {ad: {table: ad}, cate: {table: cate}}, max_len: 3}
  clicked:    {columns: {ad: {table: ad}, cate: {table: cate}}}
model:
  kind: dstn
  candidate: [ad, cate]
  contextual: contextual
  clicked: clicked
  dstn: {mode: self, hidden: 6}
  mlp: {units: [8], activation: prelu}
data:  {train: page/train-*.safetensors, test: page/test-*.safetensors}
train: {batch: 100, steps: 5, seed: 7}
YAML
rm -rf ads
"$dips" train page.yaml --run ads >out.txt 2>err.txt || fail "$(cat err.txt)"
echo '{"contextual": [{"ad": 3, "cate": 1}, {"ad": 4, "cate": 2}], "candidates": [{"ad": 5, "cate": 1}]}' |
    "$dips" explain page.yaml --checkpoint ads --svg ads.svg >out.txt 2>err.txt || fail "$(cat err.txt)"
grep -q "^  contextual: 2 weights, their sum 1.0000$" out.txt || fail "$(cat out.txt)"
grep -q "ad 3, cate 1$" out.txt && grep -q "ad 4, cate 2$" out.txt || fail "$(cat out.txt)"
grep -q "^  clicked: there is nothing to weigh here$" out.txt || fail "$(cat out.txt)"
grep -q "ad 4, cate 2" ads.svg && grep -q "clicked: there is nothing" ads.svg || fail "ads.svg"

# A model that weighs nothing says so.
status=0
rm -rf pooled
"$dips" train page.yaml --run pooled model.dstn.mode=pool >out.txt 2>err.txt || fail "$(cat err.txt)"
"$dips" explain page.yaml --checkpoint pooled --sample 0 model.dstn.mode=pool >out.txt 2>err.txt || status=$?
[ $status -eq 2 ] && grep -q "model dstn weighs ads with model.dstn.mode self or interactive alone" err.txt ||
    fail "status $status: $(cat err.txt)"
train base train.steps=5 model.kind=base
status=0
"$dips" explain run.yaml --checkpoint base --sample 0 model.kind=base >out.txt 2>err.txt || status=$?
[ $status -eq 2 ] && grep -q "model base weighs nothing" err.txt || fail "status $status: $(cat err.txt)"
status=0
"$dips" explain run.yaml --checkpoint run --sample 100000 >out.txt 2>err.txt || status=$?
[ $status -eq 2 ] && grep -q "data.test has 200 samples" err.txt || fail "status $status: $(cat err.txt)"
