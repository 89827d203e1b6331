# A run with a key: it learns what an open one learns, its key is in its file alone, and who
# does not hold it stays outside.
. "$(dirname "$0")/job_lib.sh"
need_mpirun
make_world
words=(cluster.servers=2 cluster.workers=2 train.epochs=3)

same() {
    python3 "$source_folder/tests/launch/compare.py" "$1/checkpoints/step-000000000060" \
        "$2/checkpoints/step-000000000060" >same.out 2>&1 || { sed 's/^/        /' same.out; false; }
}

# Where the key stands that file $1 holds, of what a run or any process shows to others.
traces_of() {
    local key
    key=$(cat "$1")
    grep -rl -- "$key" "$2" "$2.out" "$2.err" "$TMPDIR" 2>/dev/null | grep -vx -- "$1"
    grep -al -- "$key" /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null
}

"$dips" train run.yaml --run open "${words[@]}" >open.out 2>open.err || sed 's/^/        /' open.err
"$dips" train run.yaml --run closed "${words[@]}" train.epochs=100000 cluster.curve=on \
    checkpoint.every="20 steps" checkpoint.keep=1000000 >closed.out 2>closed.err &
job=$!
check "a closed run trains" wait_until 20 has_step closed
check "its key is its owner's alone" is "$(stat -c '%a %F' closed/key)" "600 regular file"
for p in $(processes_of closed); do tr '\0' ' ' <"/proc/$p/cmdline"; echo; done >processes
check "its processes are told the file" is \
    "$(grep -e '--folder closed' processes | grep -v -e '--key closed/key')" ""
check "there are some" says processes "--key closed/key"
first=$(cat closed/key)
wait_until 20 test -e closed/checkpoints/step-000000000020/manifest.json
for p in $(processes_of closed); do
    grep -qz -x -e --index "/proc/$p/cmdline" && grep -qz -x 1 "/proc/$p/cmdline" && kill -KILL "$p"
done
check "a server that died comes back with the key" \
    wait_until 20 grep -qs '"event":"restart"' closed/metrics.jsonl
wait_until 20 test -e closed/checkpoints/step-000000000060/manifest.json
check "its key is nowhere else" is "$(traces_of closed/key closed)" ""
kill -TERM $job
wait $job
check "a closed run ends as others do" is $? 143
check "a closed run learns the same bits" same closed open
check "nothing is left" nothing_left $job closed
check "its key is gone" is "$(echo "$first" | grep -rlf - closed)" ""

# By hand, over tcp.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$dips" train run.yaml --run typed "${words[@]}" --dry-run --listen "127.0.0.1:$port" --key my.key >lines
check "typed lines name the key's file" is "$(grep -c -e '--key my.key' lines)" 4
mapfile -t lines < <(grep -v '^#' lines)
bash -c "exec ${lines[0]}" >typed.out 2>typed.err &
job=$!
check "the coordinator makes the key" wait_until 10 test -s my.key
check "for its owner alone" is "$(stat -c %a my.key)" 600
wait_until 10 test -e typed/run.yaml
# Strangers with the name and place of server 0.
stranger=("$dips" server --coordinator "tcp://127.0.0.1:$port" --index 0 --folder typed)
echo "$first" >old.key
chmod 600 old.key
cp my.key shown.key
chmod 644 shown.key
tr 0-9a-f g-v <my.key >no.key
chmod 600 no.key
for key in old.key ""; do
    "${stranger[@]}" ${key:+--key} $key >"stranger$key.out" 2>"stranger$key.err" &
    strangers+=($!)
done
for stranger_ in "${strangers[@]}"; do
    wait "$stranger_"
    check "a stranger gives up" is $? 4
done
check "a wrong key is guessed to be the cause" says strangerold.key.err \
    "nothing from the coordinator (tcp://127.0.0.1:$port) for 3.0 s, who answers nobody without the run's key; was it not in old.key"
"${stranger[@]}" --key shown.key >shown.out 2>&1
check "a key that others may read: status 2" is $? 2
check "a key that others may read is named" says shown.out \
    "dips: the key file shown.key has mode 0644, so others may use it; wanted 0600"
"${stranger[@]}" --key no.key >no.out 2>&1
check "a file that is no key: status 2" is $? 2
check "a file that is no key is named, not quoted" is "$(cat no.out)" \
    "dips: the key file no.key holds no key, a line of 64 digits 0-9a-f"
for line in "${lines[@]:1}"; do
    bash -c "exec $line" >>typed.out 2>>typed.err &
done
wait $job
check "the run ends well with those who hold the key" is $? 0
check "the same bits by tcp" same typed open
check "the user's key stays" test -s my.key
wait
mpirun --oversubscribe -n 2 "$dips" train run.yaml --run ranks "${words[@]}" cluster.curve=on \
    >ranks.out 2>ranks.err
check "the ranks of a typed mpirun hold the key" is $? 0
check "the same bits by them" same ranks open
"$dips" train run.yaml --run off --key my.key cluster.curve=off >off.out 2>&1
check "a key and no curve: status 2" is $? 2
check "a key and no curve" says off.out "dips: --key my.key: cluster.curve is off"
finish
