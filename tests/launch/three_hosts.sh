# three_hosts.sh - sourced behind job_lib.sh: three hosts h1, h2, h3 on this machine.
#
# A host is a set of namespaces: its own network (one interface, eth0, at a bridge in a fourth
# set), host name, processes, and /etc/hosts. They share the disk. What mpirun does by ssh
# elsewhere it does by $hosts/rsh. Nothing of this touches the machine's own network, and it
# ends with the test.
[ "$(id -u)" = 0 ] || { echo "skipped: three hosts need root"; exit 77; }
for program in ip unshare nsenter; do
    command -v $program >/dev/null || { echo "skipped: $program is not installed"; exit 77; }
done
hosts=$(mktemp -d /tmp/dips-hosts-XXXXXX) # without a space: mpirun's agent may have none

end_hosts() {
    for name in rsh h1 h2 h3 switch; do
        [ -s "$hosts/$name.pid" ] && kill -KILL "$(cat "$hosts/$name.pid")" 2>/dev/null
    done
    wait 2>/dev/null
    rm -rf "$hosts"
}
trap end_hosts EXIT

# start_host NAME: its first process reaps what nobody waits for. Its number is in NAME.pid.
start_host() {
    unshare --net --uts --pid --mount --fork --kill-child --mount-proc bash -c "
        hostname $1
        mount --bind '$hosts/names' /etc/hosts
        grep ^NSpid: /proc/self/status >'$hosts/$1.up'
        while :; do sleep 1; done" >/dev/null 2>"$hosts/$1.err" &
    local launcher=$!
    wait_until 10 test -s "$hosts/$1.up" || { echo "skipped: $(cat "$hosts/$1.err")"; exit 77; }
    pgrep -P $launcher >"$hosts/$1.pid"
}

# on NAME COMMAND...: run it there, in this folder and environment.
on() {
    local name=$1
    shift
    nsenter -a -t "$(cat "$hosts/$name.pid")" -- sh -c 'cd "$1" && shift && exec "$@"' sh "$PWD" "$@"
}

# network NAME WORDS...: `ip` in the network of NAME, with the processes of this machine.
network() {
    nsenter -n -t "$(cat "$hosts/$1.pid")" -- ip "${@:2}"
}

# cut_off NAME, let_back NAME: pull its wire out of the switch, and plug it in.
cut_off() { network switch link set "$1" down; }
let_back() { network switch link set "$1" up; }

printf '127.0.0.1 localhost\n10.73.0.1 h1\n10.73.0.2 h2\n10.73.0.3 h3\n' >"$hosts/names"
start_host switch
network switch link add bridge type bridge || { echo "skipped: no bridge"; exit 77; }
network switch link set bridge up
for i in 1 2 3; do
    start_host h$i
    mkdir "$hosts/h$i"
    network switch link add h$i type veth peer name eth0 netns "$(cat "$hosts/h$i.pid")" ||
        { echo "skipped: no veth"; exit 77; }
    network switch link set h$i master bridge up
    network h$i link set lo up
    network h$i addr add 10.73.0.$i/24 dev eth0
    network h$i link set eth0 up
done

install -m 755 "$source_folder/tests/launch/rsh.py" "$hosts/rsh"
"$hosts/rsh" --serve "$hosts" 2>"$hosts/rsh.err" &
echo $! >"$hosts/rsh.pid"
disown
wait_until 10 test -S "$hosts/door"
export OMPI_MCA_plm_rsh_agent="$hosts/rsh"
