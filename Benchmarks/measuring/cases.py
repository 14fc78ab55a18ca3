"""What is measured: each case is one load, and what is noted of a server under it."""
import os, subprocess, time
from dataclasses import dataclass

from . import contestants, machine
from .server import Failed, Server


@dataclass
class Case:
    name: str
    about: str
    load: str  # the kind, as load.c has it
    clients: int
    transport: str = "tcp"
    size: int = 64
    paired: bool = True  # by turns with each rival, round by round; otherwise each server once
    loops: bool = False  # Pier with two loops against Pier with one, and the floor with two, on all processors

    def has(self, rival):
        return self.transport in rival.transports and (rival.name == "floor" or not self.loops)

    def measure(self, program, seconds):
        """One run against a server of its own: a figure by each name."""
        places = set(machine.PROCESSORS) if self.loops else machine.SERVER
        with Server(program, self.transport, places) as server:
            if self.load == "idle":
                return self.memory(server)
            watched = server.clients_of_loops()
            clock, (user, system) = server.processor_seconds(), server.user_share()
            load = self.start_load(server, seconds)
            spread = self.spread(server, watched, seconds) if self.loops else {}
            figures = finish(load, seconds)
            cpu, (user_after, system_after) = server.processor_seconds() - clock, server.user_share()
        user, system = user_after - user, system_after - system
        messages = figures["messages"]
        if not messages:
            raise Failed("no message came back")
        return {
            "cpu_us": cpu * 1e6 / messages,
            "user_us": cpu * 1e6 / messages * user / (user + system) if user + system else 0,
            "per_s": messages / figures["seconds"],
            **figures, **spread,
        }

    def start_load(self, server, last):
        words = {"echo": [self.size, last], "udp": [self.size, last], "churn": [last], "idle": [server.pid]}[self.load]
        return subprocess.Popen(
            list(map(str, [machine.BUILD / "load", self.load, server.port, self.clients, *words])),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, machine.LOAD))

    def memory(self, server):
        figures = finish(self.start_load(server, None), 100)
        grown = figures["after_bytes"] - figures["before_bytes"]
        return {"bytes_client": grown / figures["clients"], **figures}

    def spread(self, server, before, seconds):
        """The fullest loop's clients, in the middle of the load: 1 is an even share."""
        time.sleep(0.2 + seconds / 2)
        counts = [count - before.get(loop, 0) for loop, count in server.clients_of_loops().items()]
        if not counts or max(counts) < 1:
            return {}
        return {"fullest_loop": max(counts) * len(counts) / sum(counts)}


def finish(load, seconds):
    """What the load prints, a name and a value a line."""
    try:
        out, complaint = load.communicate(timeout=seconds + 60)
    except BaseException as error:
        load.kill()
        load.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise Failed("the load did not end")
        raise
    if load.returncode:
        raise Failed(f"the load: {complaint.strip()}")
    return {name: float(value) for name, value in map(str.split, out.splitlines())}


def build_load():
    contestants.c_program("load", sorted((machine.BENCHMARKS / "load").glob("*.c")))


CASES = [
    Case("echo-64", "echo of 64 bytes, 64 clients", "echo", 64),
    Case("echo-1000", "echo of 64 bytes, 1 000 clients", "echo", 1000),
    Case("churn", "connect, echo 64 bytes, close; 32 clients at a time", "churn", 32),
    Case("udp", "echo of datagrams of 64 bytes, 16 senders", "udp", 16, transport="udp"),
    Case("loops", "echo of 64 bytes, 64 clients, on all processors: two loops against one, and against the floor's two", "echo", 64, loops=True),
    Case("idle", "memory of the server for each of 15 000 clients that wait", "idle", 15000, paired=False),
]


def chosen(words):
    """`echo` stands for all cases that begin with it."""
    cases = [case for case in CASES if any(case.name == word or case.name.startswith(word + "-") for word in words)]
    for word in words:
        if not any(case.name == word or case.name.startswith(word + "-") for case in CASES):
            raise ValueError(f"no case {word}: there are echo, " + ", ".join(case.name for case in CASES))
    return cases
