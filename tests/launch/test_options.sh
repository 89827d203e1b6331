# `dips options` lists, narrows, and refuses.
set -eu
dips=$1

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

"$dips" options > all.txt
for key in 'tables.*.dim' train.batch checkpoint.keep 'features.*.columns.*.table'; do
    grep -qF "$key" all.txt || fail "$key is not listed"
done
"$dips" options clip. > some.txt
[ "$(grep -c '^clip\.' some.txt)" -eq 2 ] || fail "clip. has two options"
grep -q '^train' some.txt && fail "train. does not contain clip."
"$dips" options model.kind | grep -q '^    din ' || fail "the models are not listed"
"$dips" options clip. | grep -q 'models' && fail "clip. lists models"
"$dips" options --help | grep -q 'usage: dips options' || fail "--help"

# every command says how it is used, in lines that a terminal shows whole
commands() {
    "$dips" "$@" --help | sed -n 's/^  \([a-z-]*\)  *.*/\1/p'
}
for command in $(commands); do
    case $command in
    prepare | checkpoint)
        for sub in $(commands "$command"); do
            "$dips" "$command" "$sub" --help
        done
        ;;
    *) "$dips" "$command" --help ;;
    esac
done > help.txt
[ "$(grep -c '^usage: dips ' help.txt)" -ge 25 ] || fail "not all commands say how they are used"
long=$(grep -E '.{101}' help.txt) && fail "help beyond 100 columns: $long"

status=0
"$dips" options nosuchoption 2> error.txt || status=$?
[ "$status" -eq 2 ] || fail "status $status, wanted 2"
[ "$(cat error.txt)" = "dips: no option has 'nosuchoption' in its key; 'dips options' lists all" ] ||
    fail "$(cat error.txt)"
