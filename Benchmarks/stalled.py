#!/usr/bin/env python3
"""Thousands of clients of `pier relay` that send and never read, to targets that do the same, and what that costs.

    Benchmarks/stalled.py PIER [--clients 5000] [--receive-size 65536] [--wire unix|tcp]

When nobody takes anything any more, the relay's resident memory must have grown by no more than the help states: for each
client one message of each direction, and 5 KB. Another client must be served meanwhile without a delay. Then all read at
last, and each byte that was sent must come. What the kernel holds is told apart: over TCP, where it takes some 5 MiB of each
client, take fewer of them. Prints the figures and ends with 0, or with 1 and what is wrong.
"""
import argparse, contextlib, os, re, resource, signal, socket, statistics, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("pier")
parser.add_argument("--clients", type=int, default=5000)
parser.add_argument("--receive-size", type=int, default=65536)
parser.add_argument("--wire", choices=["unix", "tcp"], default="unix")
options = parser.parse_args()

TASKS = 5 * 1024 + 512  # what the help says of both connections and their tasks
PATTERN = bytes(n * 7 % 251 for n in range(251 * 300))
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
if hard < 2 * options.clients + 100:
    sys.exit(f"{options.clients} clients need {2 * options.clients + 100} descriptors, and {hard} are allowed")


def available():
    """What is left of the machine's memory."""
    with open("/proc/meminfo") as file:
        return int(re.search(r"^MemAvailable:\s+(\d+)", file.read(), re.M).group(1)) * 1024


def resident():
    with open(f"/proc/{relay.pid}/status") as file:
        return int(re.search(r"^VmRSS:\s+(\d+)", file.read(), re.M).group(1)) * 1024


def descriptors():
    """Without the pipes that are kept for bulk."""
    count = 0
    for number in os.listdir(f"/proc/{relay.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += not os.readlink(f"/proc/{relay.pid}/fd/{number}").startswith("pipe:")
    return count


class End:
    """One side of a relayed connection, which sends the pattern again and again."""

    def __init__(self, connection):
        self.connection, self.sent, self.got = connection, 0, 0
        connection.setblocking(False)

    def send(self):
        """Whether anything was taken."""
        at = self.sent % 251
        try:
            self.sent += self.connection.send(PATTERN[at:at + 65536])
            return True
        except BlockingIOError:
            return False

    def receive(self):
        """Whether anything came; fails when it is not what was sent."""
        try:
            piece = self.connection.recv(65536)
        except BlockingIOError:
            return False
        at = self.got % 251
        if piece != PATTERN[at:at + len(piece)]:
            raise AssertionError("other bytes came")
        self.got += len(piece)
        return bool(piece)


def until_quiet(step):
    """Goes on until nobody has moved for half a second."""
    last = time.monotonic()
    while time.monotonic() - last < 0.5:
        if step():
            last = time.monotonic()
        else:
            time.sleep(0.01)


folder = tempfile.TemporaryDirectory()
front, behind = "127.0.0.1:0", ("127.0.0.1", 0)
if options.wire == "unix":
    front, behind = f"{folder.name}/front", f"{folder.name}/behind"
listener = socket.socket(socket.AF_UNIX if options.wire == "unix" else socket.AF_INET)
listener.bind(behind)
listener.listen(1024)
told = listener.getsockname()
relay = subprocess.Popen(
    [options.pier, "relay", front, told if options.wire == "unix" else "%s:%d" % told,
     "--receive-size", str(options.receive_size), "--max-clients", str(options.clients + 10)],
    stderr=subprocess.PIPE, text=True)
line = relay.stderr.readline().strip()
place = front if options.wire == "unix" else ("127.0.0.1", int(line.rpartition(":")[2]))


def join():
    client = socket.socket(listener.family)
    client.settimeout(20)
    client.connect(place)
    return client, listener.accept()[0]


def round_trips():
    client, target = join()
    times = []
    for _ in range(500):
        start = time.monotonic()
        client.sendall(b"question")
        target.sendall(target.recv(64))
        client.recv(64)
        times.append(time.monotonic() - start)
    client.close()
    target.close()
    return statistics.median(times), max(times)


try:
    alone = round_trips()
    time.sleep(0.2)
    open_before, before, available_before = descriptors(), resident(), available()
    ends = [End(connection) for _ in range(options.clients) for connection in join()]
    idle = resident()
    until_quiet(lambda: sum([end.send() for end in ends]))
    stalled, taken = resident(), available_before - available()
    beside = round_trips()
    lost, last = 1, time.monotonic()
    while lost and time.monotonic() - last < 30:
        # A peer that had no room for long is asked by the kernel only now and then whether it has.
        if sum([end.receive() for end in ends]):
            last = time.monotonic()
        lost = sum(end.sent - end.got for end in ends)
    for end in ends:
        end.connection.close()
    deadline = time.monotonic() + 20
    while descriptors() > open_before and time.monotonic() < deadline:
        time.sleep(0.05)
    left = descriptors() - open_before
    # A second after they have gone; a fifth may stay in the allocator's bins.
    while (after := resident()) > before + (stalled - before) // 5 and time.monotonic() < deadline:
        time.sleep(0.05)
finally:
    relay.send_signal(signal.SIGTERM)
    code = relay.wait(20)

each, most = (stalled - before) / options.clients, 2 * options.receive_size + TASKS
print(f"clients {options.clients}, receive size {options.receive_size}")
print(f"resident bytes a client: silent {(idle - before) / options.clients:.0f}, stalled {each:.0f} (at most {most})")
print(f"resident MiB: before {before >> 20}, stalled {stalled >> 20}, when all have gone {after >> 20}")
print(f"kernel's, for both programs and whatever else ran, MiB: {taken - (stalled - before) >> 20}")
print(f"sent and not taken, MiB: {sum(end.sent for end in ends) >> 20}; lost bytes: {lost}")
print(f"another's round trip, us, median and longest: alone {alone[0] * 1e6:.0f}, {alone[1] * 1e6:.0f}; "
      f"beside them {beside[0] * 1e6:.0f}, {beside[1] * 1e6:.0f}")
wrong = []
if each > most:
    wrong.append("they hold more than is stated")
if lost:
    wrong.append("bytes were lost")
if left:
    wrong.append(f"{left} descriptors are left")
if after > before + (stalled - before) // 5:
    wrong.append("their memory is kept")
# No client may have to wait for another's turn of the loop, however slow the machine.
if beside[0] > 20 * alone[0] + 0.005:
    wrong.append("others are delayed")
if code:
    wrong.append(f"it ended with {code}")
print("wrong: " + "; ".join(wrong) if wrong else "nothing wrong")
sys.exit(1 if wrong else 0)
