#!/usr/bin/env python3
"""Ten minutes of clients of every temper against `pier serve echo`, straight and relayed, and what it costs both.

    Benchmarks/soak.py PIER [--seconds 600] [--seed 1] [--clients 64]

The clients come from a seeded generator: some talk, some reset in the middle, some finish half, some send and never read,
some read a byte at a time, some only connect, some send datagrams. Half of the others are relayed, by TCP or a Unix socket
to TCP or a Unix socket. Each byte that comes back is compared. Every second the resident memory, descriptors and threads
of the server and the relay are noted; at the end, when all clients have gone, descriptors must be what they were before
the first but for the few pipes that are kept for bulk, and memory must not have grown from the second third of the run to
the last by more than a tenth and 1 MiB. Prints the figures and ends with 0, or with 1 and what is wrong.
"""
import argparse, contextlib, os, random, re, signal, socket, statistics, struct, subprocess, sys, tempfile, threading, time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("pier")
parser.add_argument("--seconds", type=int, default=600)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--clients", type=int, default=64, help="threads, each with one client after another")
options = parser.parse_args()

folder = tempfile.mkdtemp()
PIPES = 8  # as many are kept for the next transfer in bulk


class Watched:
    """A `pier` under way, what it holds, and where it listens."""

    def __init__(self, verb, *words, endpoints):
        self.verb, self.places, self.memory, self.most = verb, {}, [], (0, 0)
        self.process = subprocess.Popen(
            [options.pier, verb, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for _ in range(endpoints):
            line = self.process.stderr.readline()
            found = re.match(r"listening (tcp|udp|unix):(?://)?(?:.*:(\d+)|(.*))$", line)
            if not found:
                sys.exit(f"{verb} says: {line}")
            self.places[found.group(1)] = found.group(3) or int(found.group(2))
        threading.Thread(
            target=lambda: [sys.stderr.write(line) for line in self.process.stderr], daemon=True).start()

    def status(self, field):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(rf"^{field}:\s+(\d+)", file.read(), re.M).group(1))

    def descriptors(self):
        """How many there are, without pipes, and how many pipes' ends: those of bulk are kept."""
        kinds = []
        for number in os.listdir(f"/proc/{self.process.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                kinds.append(os.readlink(f"/proc/{self.process.pid}/fd/{number}").startswith("pipe:"))
        return kinds.count(False), kinds.count(True)

    def begin(self):
        self.before, self.threads = self.descriptors(), self.status("Threads")

    def note(self):
        self.memory.append(self.status("VmRSS"))
        self.most = tuple(map(max, self.most, self.descriptors()))

    def end(self):
        """Waits for what ends by the idle time, ends it, and tells its figures; what is wrong, in words."""
        deadline = time.monotonic() + 30
        while self.descriptors()[0] > self.before[0] and time.monotonic() < deadline:
            time.sleep(0.1)
        after, threads, at_end = self.descriptors(), self.status("Threads"), self.status("VmRSS")
        with open(f"/proc/{self.process.pid}/stat") as file:
            user, system = (float(field) / os.sysconf("SC_CLK_TCK") for field in file.read().split()[13:15])
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(20)
        third = max(1, len(self.memory) // 3)
        early, late = statistics.median(self.memory[third:2 * third] or self.memory), statistics.median(self.memory[-third:])
        print(f"{self.verb}: resident KiB: first {self.memory[0]}, second third {early:.0f}, last third {late:.0f}, "
              f"most {max(self.memory)}, at the end {at_end}")
        print(f"{self.verb}: descriptors, and ends of pipes: before {self.before}, most {self.most}, after {after}; "
              f"threads: before {self.threads}, after {threads}")
        print(f"{self.verb}: processor seconds: user {user:.1f}, system {system:.1f}; exit code {code}")
        if late > early * 1.1 + 1024:
            yield f"{self.verb}: memory grows"
        if after[0] != self.before[0] or after[1] > self.before[1] + 2 * PIPES:
            yield f"{self.verb}: descriptors are left"
        if threads != self.threads:
            yield f"{self.verb}: threads are left"
        if code != 0:
            yield f"{self.verb} ended with {code}"


server = Watched(
    "serve", "echo", "127.0.0.1:0", "udp://127.0.0.1:0", os.path.join(folder, "echo.sock"), "--show", "none",
    "--idle-timeout", "5s", endpoints=3)
relay = Watched(
    "relay", "127.0.0.1:0", f"127.0.0.1:{server.places['tcp']}", server.places["unix"], "--also",
    os.path.join(folder, "relay.sock"), "--idle-timeout", "5s", endpoints=2)
counts, mismatches, lock = {}, [], threading.Lock()
end = time.monotonic() + options.seconds


def connect(chance):
    places = chance.choice([server, relay]).places
    if chance.random() < 0.3:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        client.connect(places["unix"])
    else:
        client = socket.create_connection(("127.0.0.1", places["tcp"]), timeout=20)
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
        client.connect(("127.0.0.1", server.places["udp"]))
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


for watched in (server, relay):
    # So that all that is made once has been made.
    with socket.create_connection(("127.0.0.1", watched.places["tcp"])) as first:
        talk(first, random.Random(0))
time.sleep(0.5)
for watched in (server, relay):
    watched.begin()
threads = [threading.Thread(target=run, args=(number,)) for number in range(options.clients)]
for thread in threads:
    thread.start()
while time.monotonic() < end:
    time.sleep(1)
    for watched in (server, relay):
        watched.note()
for thread in threads:
    thread.join()
print(f"seconds {options.seconds}, seed {options.seed}, clients at once {options.clients}")
print("done:", ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
wrong = mismatches[:10]
for watched in (relay, server):
    wrong += watched.end()
os.rmdir(folder)
print("wrong: " + "; ".join(wrong) if wrong else "nothing wrong")
sys.exit(1 if wrong else 0)
