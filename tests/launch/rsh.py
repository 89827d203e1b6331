#!/usr/bin/env python3
"""rsh for hosts that are namespaces (three_hosts.sh), which do not see each other's processes:

    rsh.py --serve FOLDER        outside of all hosts: starts what others ask for
    rsh.py HOST COMMAND...       on a host: COMMAND by a shell of HOST, with these standard files

FOLDER, that of this file, has HOST.pid: the first process of each host. As with ssh, HOST must
be reachable when a command begins, and a command that has begun outlives its asker."""
import os, socket, subprocess, sys, threading

folder = os.path.dirname(os.path.abspath(__file__))


def answer(asker):
    with asker:
        words, files, _, _ = socket.recv_fds(asker, 1 << 16, 3)
        host, command = words.decode().split("\0", 1)
        with open(f"{folder}/{host}.pid") as f:
            first = f.read().strip()
        environment = {"HOME": "/root", "PATH": os.environ["PATH"], "TMPDIR": f"{folder}/{host}"}
        child = subprocess.Popen(["nsenter", "-a", "-t", first, "--", "sh", "-c", command],
                                 stdin=files[0], stdout=files[1], stderr=files[2],
                                 env=environment, start_new_session=True)
        for file in files:
            os.close(file)
        try:
            asker.sendall(bytes([child.wait() & 255]))
        except OSError:
            pass


def serve():
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{folder}/door")
        door.listen(64)
        while True:
            threading.Thread(target=answer, args=(door.accept()[0],), daemon=True).start()


def ask(host, command):
    try:
        socket.create_connection((host, 22), timeout=3).close()
    except ConnectionRefusedError:
        pass  # it is there
    except OSError as error:
        print(f"rsh: {host}: {error}", file=sys.stderr)
        return 255
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(f"{folder}/door")
        socket.send_fds(door, [f"{host}\0{command}".encode()], [0, 1, 2])
        status = door.recv(1)
    return status[0] if status else 255


if sys.argv[1] == "--serve":
    folder = sys.argv[2]
    serve()
else:
    raise SystemExit(ask(sys.argv[1], " ".join(sys.argv[2:])))
