#!/usr/bin/env python3
"""rubbish.py PID SEED: send rubbish to every abstract socket @dips-... that process PID or a
process below it listens at, until PID is gone: noise, and messages of a ZeroMQ peer with
random bytes in them. Prints how many connections it made and messages it sent."""
import os, random, socket, sys, time

GREETING = bytes([0xFF]) + bytes(8) + bytes([0x7F, 3, 0]) + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0\0"


def below(root):
    """The process and all its descendants."""
    parents = {}
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat") as f:
                parents[int(name)] = int(f.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            pass
    found = {root}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def sockets_of(processes):
    inodes = set()
    for process in processes:
        try:
            for fd in os.listdir(f"/proc/{process}/fd"):
                link = os.readlink(f"/proc/{process}/fd/{fd}")
                if link.startswith("socket:["):
                    inodes.add(link[8:-1])
        except OSError:
            pass
    with open("/proc/net/unix") as f:
        rows = [line.split() for line in f]
    return [r[7][1:] for r in rows
            if len(r) == 8 and r[3] == "00010000" and r[6] in inodes and r[7].startswith("@dips-")]


def frame(flags, body):
    return bytes([flags | 2]) + len(body).to_bytes(8, "big") + body


def message(chance):
    """Random bytes, half of them behind the start of a header of ours."""
    body = chance.randbytes(chance.randrange(3000))
    return chance.choice([b"", b"dips", b"dips\3\0\3\0"]) + body


def attack(name, chance, sent):
    """One connection; sent counts the messages."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        s.connect(b"\0" + name.encode())
        kind = chance.randrange(4)
        if kind == 0:
            s.sendall(chance.randbytes(300))
        elif kind == 1:
            s.sendall(GREETING[: chance.randrange(64)])
        else:
            s.sendall(GREETING + bytes([4, len(READY)]) + READY)
            s.recv(4096)
            if kind == 2:  # a message that would be 2^60 bytes
                s.sendall(bytes([2]) + (1 << 60).to_bytes(8, "big") + bytes(100))
            for _ in range(40 if kind == 3 else 0):
                s.sendall(frame(0, message(chance)))
                sent[0] += 1
            time.sleep(0.01)


def main():
    root, chance = int(sys.argv[1]), random.Random(int(sys.argv[2]))
    connections, sent = 0, [0]
    while os.path.exists(f"/proc/{root}/exe"):
        for name in sockets_of(below(root)):
            try:
                connections += 1
                attack(name, chance, sent)
            except OSError:
                pass
    print(connections, sent[0])


main()
