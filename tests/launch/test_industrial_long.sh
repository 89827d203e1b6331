# launch/industrial.sh with 3 M ids: a server killed, evaluated, and as `dips plan` said.
. "$2/tests/launch/lib.sh"

rm -rf run
DIPS=$dips bash "$source/launch/industrial.sh" 3M "$PWD/run" >out 2>err || {
    status=$?
    cat err >&2
    fail "it ended with status $status"
}
grep -q "was killed, and the run returned to the checkpoint" out || fail "no server was killed"

# near WHAT [BYTES]: seen is within 5 % of planned, or up to BYTES more.
near() {
    local line
    line=$(grep "^$1 " out) || fail "there is no line '$1'"
    say "$line"
    awk -v l="$line" -v more="${2:-0}" 'BEGIN {
        n = split(l, x); planned = x[n - 3]; seen = x[n - 2]
        exit !(seen >= 0.95 * planned && seen <= 1.05 * planned + more)
    }' || fail "not within 5 %"
}
pieces=$((32 << 20)) # of a checkpoint on its way to the disk, which are little beside more ids
near rows
near "resident, server 0" $pieces
near "resident, server 1" $pieces
near "bytes of a checkpoint"
auc=$(sed -n 's/^  AUC *//p' run/eval.txt)
awk -v a="$auc" 'BEGIN {exit !(a > 0.53)}' || fail "the AUC is $auc"
say "AUC $auc"
rm -rf run
