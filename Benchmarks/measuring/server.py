"""A server under measurement: started, asked until it answers, looked at from outside, and ended."""
import os, signal, socket, subprocess, time

from . import machine

TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A server or a load did not do what it is for, so there is no figure."""


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Use it in `with`: whatever happens, the process is gone afterwards."""

    def __init__(self, program, transport, processors):
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.port = free_port(kind)
        self.command = program.command(self.port, transport)
        with open(machine.BUILD / "servers.log", "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, processors))
        try:
            self.wait_until_it_answers(kind)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self):
        return self.process.pid

    def wait_until_it_answers(self, kind):
        """One echo there and back, which also makes what a server makes for its first client only."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"the server ended at once: see {machine.BUILD / 'servers.log'}")
            try:
                with socket.socket(socket.AF_INET, kind) as client:
                    client.settimeout(0.5)
                    client.connect(("127.0.0.1", self.port))
                    client.send(b"first")
                    if client.recv(16) == b"first":
                        break
            except OSError:
                time.sleep(0.02)
        else:
            raise Failed("the server does not answer")
        time.sleep(0.1)  # until that client's end has been dealt with

    def processor_seconds(self):
        """User and system together, to the nanosecond and with threads that have ended: the process's own clock, as
        clock_getcpuclockid(3) names it."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def user_share(self):
        """The part of it that was not the kernel's. In ticks of 10 ms, so only good for a part."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) / TICKS, int(fields[12]) / TICKS

    def clients_of_loops(self):
        """How many descriptors each of its epoll instances watches, by the instance's number."""
        counts = {}
        folder = f"/proc/{self.pid}/fdinfo"
        for number in os.listdir(folder):
            try:
                with open(f"{folder}/{number}") as file:
                    text = file.read()
            except OSError:
                continue  # closed meanwhile
            if "tfd:" in text:
                counts[number] = text.count("tfd:")
        return counts

    def stop(self):
        try:
            os.killpg(self.pid, signal.SIGTERM)
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
        except ProcessLookupError:
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
