# A run that begins with what another one learned: whole, by names, on other numbers of servers,
# with another model, and never a second time.
. "$(dirname "$0")/lib.sh"

# refused STATUS WORDS OPTION...: a warm start that is refused with these words.
refused() {
    local wanted=$1 words=$2 status=0
    shift 2
    rm -rf bad
    "$dips" train run.yaml --run bad train.steps=0 "$@" >out.txt 2>err.txt || status=$?
    [ "$status" -eq "$wanted" ] || fail "$*: status $status, wanted $wanted: $(cat err.txt)"
    grep -qF "$words" err.txt || fail "$*: '$(cat err.txt)' does not say '$words'"
}

# tensors A B CHECK: python over the tensors a and b of two checkpoints; name -> (dtype, bytes).
tensors() {
    python3 - "$source/tests/launch" "$1" "$2" "$3" <<'PY' || fail "$3: $1, $2"
import array, sys
sys.path.insert(0, sys.argv[1])
from compare import read_checkpoint
a, b = (read_checkpoint(folder) for folder in sys.argv[2:4])

def ids(c, table):
    return array.array("Q", c[table + ".ids"][1]).tolist()

def rows(c, table, what="weight"):
    """{id: the bytes of its row}"""
    known, data = ids(c, table), c[f"{table}.{what}"][1]
    size = len(data) // len(known)
    return {id: data[i * size:(i + 1) * size] for i, id in enumerate(known)}

def taken(table, *whats):
    """Every row of a is in b, with the same bytes; b has others, too, of ids that a never saw."""
    for what in whats or ("weight",):
        mine, theirs = rows(a, table, what), rows(b, table, what)
        assert all(theirs[id] == row for id, row in mine.items()), f"{table}.{what}"

def anew(table, what):
    return not any(b[f"{table}.{what}"][1])

def dense(name):
    return a["dense " + name] == b["dense " + name]

assert eval(sys.argv[4]) in (True, None), sys.argv[4]
PY
}

world data
run_file run.yaml data
train base model.kind=base train.steps=12 cluster.shards=3
from=$(cut_at base 12)

# Base's rows and MLP, for DIN, which has attention besides.
train whole train.steps=0 init.from=base
tensors "$from" "$(cut_at whole 0)" 'taken("goods", "weight", "@sum", "count") and None'
tensors "$from" "$(cut_at whole 0)" 'taken("cate", "weight", "@m", "@v", "@step") and None'
tensors "$from" "$(cut_at whole 0)" 'all(dense(n) for n in ("mlp.0.weight", "mlp.0.weight@m", "mlp.0.mean", "output.bias"))'
tensors "$from" "$(cut_at whole 0)" 'anew("goods", "touched") and "dense attention.0.weight" in b'
grep -q "table goods: .* rows with the state of rowwise_adagrad" whole.err || fail "$(cat whole.err)"
grep -q "attention.0.weight.*not there, begins anew" whole.err || fail "$(cat whole.err)"
grep -q '"event":"init".*"table":"goods","taken":1,"state":1' whole/metrics.jsonl || fail "metrics"
grep -q '"dense":"attention.0.weight","taken":0' whole/metrics.jsonl || fail "metrics"
grep -q "from: .*$from" whole/run.yaml || fail "run.yaml does not name the checkpoint"

# The same on two servers and two workers, to the bit.
train two train.steps=0 "init.from=$from" cluster.servers=2 cluster.workers=2 cluster.shards=2
same "$(cut_at whole 0)" "$(cut_at two 0)"

# By names.
train some train.steps=0 init.from=base "init.only=[goods, 'mlp.0.*']"
train plain train.steps=0
tensors "$from" "$(cut_at some 0)" 'taken("goods") or dense("mlp.0.weight") and not dense("mlp.1.weight")'
tensors "$(cut_at plain 0)" "$(cut_at some 0)" 'a["cate.weight"] == b["cate.weight"] and dense("mlp.1.weight")'
grep -q "table cate begins anew: init.only leaves it out" some.err || fail "$(cat some.err)"

# Another rule takes the weights and begins its state anew; bf16 rows, too.
train other train.steps=0 init.from=base tables.goods.optimizer=adagrad dense.optimizer=momentum \
    tables.cate.precision=bf16
tensors "$from" "$(cut_at other 0)" 'taken("goods") or anew("goods", "@sum") and dense("mlp.0.weight")'
grep -q "begins anew: rowwise_adagrad there, adagrad here" other.err || fail "$(cat other.err)"

# A resumed run goes on from its own checkpoint, also where the other one is gone.
train straight train.steps=8 init.from=base
train begun train.steps=4 init.from=base
mv base gone
resume begun train.steps=8
same "$(cut_at straight 8)" "$(cut_at begun 8)"
! grep -q "beginning with" begun.err || fail "the warm start was repeated"
mv gone base

refused 2 "init.only names 'gods'" init.from=base "init.only=[gods]"
refused 2 "init.only names 'attention.*'" init.from=base "init.only=[goods, 'attention.*']"
refused 2 "no checkpoint to take it from" "init.only=[goods]"
refused 2 "rows of table goods are 6 wide" init.from=base tables.goods.dim=4
refused 2 "mlp.1.weight is [6, 12] there, this model wants [5, 12]" init.from=base "model.mlp.units=[12, 5]"
refused 3 "init.from: data: neither a checkpoint" init.from=data
printf 'x' | dd of="$from/dense.safetensors" bs=1 seek=3000 conv=notrunc 2>/dev/null
refused 3 "dense.safetensors is damaged" init.from=base
