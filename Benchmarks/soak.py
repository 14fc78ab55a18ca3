#!/usr/bin/env python3
"""Ten minutes of clients of every temper against `pier serve echo`, and a look at what it costs the server.

    Benchmarks/soak.py PIER [--seconds 600] [--seed 1] [--clients 64]

The clients come from a seeded generator: some talk, some reset in the middle, some finish half, some send and never read,
some read a byte at a time, some only connect, some send datagrams. Each byte that comes back is compared. Every second the
server's resident memory, descriptors and threads are noted; at the end, when all clients have gone, descriptors must be
what they were before the first, and memory must not have grown from the second third of the run to the last by more than
a tenth and 1 MiB. Prints the figures and ends with 0, or with 1 and what is wrong.
"""
import argparse, os, random, re, selectors, signal, socket, statistics, struct, subprocess, sys, tempfile, threading, time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("pier")
parser.add_argument("--seconds", type=int, default=600)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--clients", type=int, default=64, help="threads, each with one client after another")
options = parser.parse_args()

folder = tempfile.mkdtemp()
path = os.path.join(folder, "echo.sock")
server = subprocess.Popen(
    [options.pier, "serve", "echo", "127.0.0.1:0", "udp://127.0.0.1:0", path, "--show", "none", "--idle-timeout", "5s"],
    stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
ports = {}
while len(ports) < 3:
    line = server.stderr.readline()
    found = re.match(r"listening (tcp|udp|unix):(?:.*:(\d+)|.*)$", line)
    if not found:
        sys.exit(f"the server says: {line}")
    ports[found.group(1)] = int(found.group(2) or 0)
threading.Thread(target=lambda: [sys.stderr.write(line) for line in server.stderr], daemon=True).start()

counts, mismatches, lock = {}, [], threading.Lock()
end = time.monotonic() + options.seconds


def status(field):
    with open(f"/proc/{server.pid}/status") as file:
        return int(re.search(rf"^{field}:\s+(\d+)", file.read(), re.M).group(1))


def descriptors():
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def connect(chance):
    if chance.random() < 0.3:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        client.connect(path)
    else:
        client = socket.create_connection(("127.0.0.1", ports["tcp"]), timeout=20)
    return client


def expect(client, sent, piece=65536):
    got = bytearray()
    while len(got) < len(sent):
        more = client.recv(piece)
        if not more:
            break
        got += more
    if got != sent:
        raise AssertionError(f"sent {len(sent)} bytes, {len(got)} came back, or other ones")


def talk(client, chance):
    for _ in range(chance.randrange(1, 20)):
        message = chance.randbytes(chance.choice([1, 7, 100, 1024, 20000]))
        client.sendall(message)
        expect(client, message)


def half(client, chance):
    message = chance.randbytes(chance.randrange(1, 60000))
    client.sendall(message)
    client.shutdown(socket.SHUT_WR)
    expect(client, message)
    if client.recv(1) != b"":
        raise AssertionError("something came after the end")


def reset(client, chance):
    client.sendall(chance.randbytes(chance.randrange(1, 100000)))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def deaf(client, chance):
    """Sends until nothing more goes, reads nothing, and goes away."""
    client.settimeout(chance.uniform(0.05, 1))
    try:
        while True:
            client.send(bytes(65536))
    except (TimeoutError, ConnectionError):
        pass


def slow(client, chance):
    message = chance.randbytes(chance.randrange(1, 400))
    client.sendall(message)
    expect(client, message, 1)


def mute(client, chance):
    time.sleep(chance.uniform(0, 0.5))


def datagrams(_, chance):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", ports["udp"]))
        client.settimeout(2)
        for _ in range(chance.randrange(1, 20)):
            message = chance.randbytes(chance.choice([0, 1, 64, 1400, 9000]))
            client.send(message)
            try:
                if client.recv(65536) != message:
                    raise AssertionError("another datagram came back")
            except TimeoutError:
                with lock:
                    counts["datagrams lost"] = counts.get("datagrams lost", 0) + 1


tempers = [(talk, 40), (half, 15), (reset, 15), (deaf, 5), (slow, 10), (mute, 5), (datagrams, 10)]


def run(number):
    chance = random.Random(options.seed * 1000 + number)
    while time.monotonic() < end:
        temper = chance.choices([t for t, _ in tempers], [w for _, w in tempers])[0]
        try:
            if temper is datagrams:
                temper(None, chance)
            else:
                with connect(chance) as client:
                    temper(client, chance)
            with lock:
                counts[temper.__name__] = counts.get(temper.__name__, 0) + 1
        except Exception as error:  # any: it is what the soak is for
            with lock:
                mismatches.append(f"{temper.__name__}: {error!r}")
            if len(mismatches) > 100:
                return


with socket.create_connection(("127.0.0.1", ports["tcp"])) as first:
    talk(first, random.Random(0))  # so that all that is made once has been made
time.sleep(0.5)
before, threads_before = descriptors(), status("Threads")
threads = [threading.Thread(target=run, args=(number,)) for number in range(options.clients)]
for thread in threads:
    thread.start()
memory, most = [], 0
while time.monotonic() < end:
    time.sleep(1)
    memory.append(status("VmRSS"))
    most = max(most, descriptors())
for thread in threads:
    thread.join()
# Sessions of datagrams and clients that never said goodbye end by the idle time.
deadline = time.monotonic() + 30
while descriptors() > before and time.monotonic() < deadline:
    time.sleep(0.1)
after, threads_after, at_end = descriptors(), status("Threads"), status("VmRSS")
user, system = (float(field) / os.sysconf("SC_CLK_TCK") for field in open(f"/proc/{server.pid}/stat").read().split()[13:15])
server.send_signal(signal.SIGINT)
code = server.wait(20)
os.rmdir(folder)

third = max(1, len(memory) // 3)
early, late = statistics.median(memory[third:2 * third] or memory), statistics.median(memory[-third:])
print(f"seconds {options.seconds}, seed {options.seed}, clients at once {options.clients}")
print("done:", ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
print(f"resident KiB: first {memory[0]}, second third {early:.0f}, last third {late:.0f}, most {max(memory)}, at the end {at_end}")
print(f"descriptors: before {before}, most {most}, after {after}; threads: before {threads_before}, after {threads_after}")
print(f"processor seconds: user {user:.1f}, system {system:.1f}; exit code {code}")
wrong = mismatches[:10]
if late > early * 1.1 + 1024:
    wrong.append("memory grows")
if after != before:
    wrong.append("descriptors are left")
if threads_after != threads_before:
    wrong.append("threads are left")
if code != 0:
    wrong.append(f"it ended with {code}")
print("wrong: " + "; ".join(wrong) if wrong else "nothing wrong")
sys.exit(1 if wrong else 0)
