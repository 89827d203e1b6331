# dips prepare as a user meets it: help, exit statuses, signals, a full disk.
# usage: test_prepare.sh DIPS SOURCE, in a folder of its own
dips=$1
failed=0
rm -rf ./room && mkdir room && cd room || exit 1

# expect STATUS TEXT COMMAND...: that exit status, and TEXT in what it prints
expect() {
    status=$1 text=$2
    shift 2
    "$@" > output.txt 2>&1
    got=$?
    if [ $got -ne "$status" ] || ! grep -qF -- "$text" output.txt; then
        echo "FAILED: $*: status $got, wanted $status and '$text':"
        head -5 output.txt
        failed=1
    fi
}
check() {
    if ! eval "$1"; then
        echo "FAILED: $1"
        failed=1
    fi
}

printf '1::10::5::100\n1::20::3::200\n1::30::9x::300\n' > ratings.dat
printf '10::A::B\n20::C::D\n30::E::F\n' > movies.dat
movielens() { "$dips" prepare movielens --ratings ratings.dat --movies movies.dat "$@"; }

for source in amazon avazu criteo dien impressions movielens synthetic taobao taobao-ads tsv; do
    expect 0 "--out DIR" "$dips" prepare $source --help
    expect 2 "is missing; usage: dips prepare $source" "$dips" prepare $source --overwrite
    expect 0 "$source" "$dips" prepare --help
done
expect 2 "there is no command 'dips prepare lastfm'" "$dips" prepare lastfm
expect 2 "there is no option '--sample'" "$dips" prepare synthetic --out x --sample 5
expect 2 "--samples 0 is not in 1" "$dips" prepare synthetic --out x --samples 0
expect 2 "'word' is not wanted here" "$dips" prepare synthetic --out x word

expect 3 "ratings.dat:3: rating '9x' is not a number" movielens --out bad
check '[ -z "$(ls -A bad)" ]'
expect 0 "1 bad lines were skipped" movielens --out good --max-bad 1
check '[ -f good/counts.safetensors ]'
"$dips" prepare synthetic --samples 200 --test-samples 20 --out counted >output.txt 2>&1
"$dips" prepare synthetic --samples 200 --test-samples 20 --out plain --no-counts >output.txt 2>&1
check '[ -f counted/counts.safetensors ] && [ ! -e plain/counts.safetensors ]'
check 'cmp -s counted/train-00000.safetensors plain/train-00000.safetensors'
expect 2 "--overwrite replaces it" movielens --out good
expect 3 "nothing.dat: No such file" "$dips" prepare movielens --ratings nothing.dat --movies movies.dat --out x
expect 5 "making the folder" "$dips" prepare synthetic --out /proc/nowhere/data

# one sentence, no noise
movielens --out bad > output.txt 2>&1
check '[ "$(wc -l < output.txt)" -eq 1 ]'

# standard input
head -2 ratings.dat | expect 0 "in 1 file" "$dips" prepare movielens --ratings - --movies movies.dat --out piped

# a file that may not grow stands for a full disk: an error, and nothing left
(ulimit -f 200; "$dips" prepare synthetic --samples 20000 --out full > output.txt 2>&1
 echo $? > status.txt)
check '[ "$(cat status.txt)" -eq 5 ]'
check 'grep -q "File too large" output.txt'
check '[ -z "$(ls -A full)" ]'

# Ctrl-C and TERM: what was there stays, what was begun goes
for signal in INT TERM; do
    rm -rf kept
    "$dips" prepare synthetic --samples 100 --test-samples 10 --out kept > /dev/null
    cp kept/train-00000.safetensors before
    # a shell's background jobs ignore SIGINT, which env undoes
    env --default-signal=INT "$dips" prepare synthetic --samples 900M --out kept --overwrite \
        > output.txt 2>&1 &
    process=$!
    for i in $(seq 100); do
        [ -d kept/.partial ] && break
        sleep 0.1
    done
    kill -$signal $process
    wait $process
    status=$?
    wanted=$([ $signal = INT ] && echo 130 || echo 143)
    check '[ $status -eq $wanted ]'
    check 'cmp -s before kept/train-00000.safetensors'
    check '[ ! -e kept/.partial ]'
done

cd .. && rm -rf room
[ $failed -eq 0 ] && echo "dips prepare: all as wanted"
exit $failed
