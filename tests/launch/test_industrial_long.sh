# launch/industrial.sh with 3 M ids: killed, resumed, evaluated, and as `dips plan` said.
. "$2/tests/launch/lib.sh"

rm -rf run
DIPS=$dips bash "$source/launch/industrial.sh" 3M "$PWD/run" >out 2>err || { cat err >&2 && fail "it ended with status $?"; }
grep -q "was killed; the job ended with status 4" out || fail "no server was killed"

# near WHAT: seen is within 5 % of planned.
near() {
    local line
    line=$(grep "^$1 " out) || fail "there is no line '$1'"
    say "$line"
    awk -v l="$line" 'BEGIN {n = split(l, x); d = x[n - 1]; exit !(d >= -5 && d <= 5)}' || fail "not within 5 %"
}
near rows
near "resident, server 0"
near "resident, server 1"
near "bytes of a checkpoint"
auc=$(sed -n 's/^  AUC *//p' run/eval.txt)
awk -v a="$auc" 'BEGIN {exit !(a > 0.53)}' || fail "the AUC is $auc"
say "AUC $auc"
rm -rf run
