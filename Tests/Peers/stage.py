"""What a case has: programs that it starts, files, and ways to wait for what they do."""
import contextlib, hashlib, os, pathlib, random, re, signal, socket, subprocess, time

CASES = []


def case(name, *tools, seconds=30):
    """A case with the programs that it needs, and how long it may take."""
    return lambda body: CASES.append((name, tools, seconds, body)) or body


class Skipped(Exception):
    """Why a case cannot be tried here."""


class Stage:
    """What a case has started, and where it keeps its files. All of it ends with the case."""

    def __init__(self, pier, folder):
        self.pier, self.folder, self.processes, self.count = pier, folder, [], 0

    def path(self, name):
        self.count += 1
        return f"{self.folder}/{self.count}.{name}"

    def file(self, content):
        path = self.path("input")
        pathlib.Path(path).write_bytes(content)
        return path

    def start(self, *words, input=os.devnull, output=None, **more):
        """Runs a program: its input is a file's name or a pipe (None), its output a file's name or else a pipe."""
        stdin = open(input, "rb") if input else subprocess.PIPE
        stdout = open(output, "wb") if output else subprocess.PIPE
        errors = self.path("errors")
        with open(errors, "wb") as stderr:
            process = subprocess.Popen(
                [str(word) for word in words], stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True, **more)
        process.errors = errors
        self.processes.append(process)
        for file in (stdin, stdout):
            if file != subprocess.PIPE:
                file.close()
        return process

    def listen(self, *words, **more):
        """Runs `pier` with a verb that listens: the process, and where it does."""
        process = self.start(self.pier, *words, **more)
        found = wait(lambda: re.search(r"^listening \w+:(?://)?(\S+)$", text(process.errors), re.M) or dead(process))
        return process, found.group(1)

    def end(self, process, code=0):
        assert process.wait() == code, f"{process.args[0]} ended with {process.returncode}, not {code}"

    def close(self):
        for process in self.processes:
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def told(self):
        """What the programs said, to explain a failure."""
        for process in self.processes:
            said = text(process.errors).strip()
            if said:
                yield f"    {os.path.basename(process.args[0])}: {said[-500:]}"


def text(path):
    return pathlib.Path(path).read_text(errors="replace")


def dead(process):
    assert process.poll() is None, f"{process.args[0]} ended with {process.returncode}"


def wait(condition):
    """Waits until something is so; the case's own deadline ends it."""
    while not (result := condition()):
        time.sleep(0.002)
    return result


def free_port(kind=socket.SOCK_STREAM):
    """A port below those that the system gives out, so that nobody gets it meanwhile."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket(socket.AF_INET, kind) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def is_bound(wire, place, process):
    """Whether a server is there, asked without connecting to it."""
    dead(process)
    if wire == "unix":
        lines = text("/proc/net/unix").splitlines()
        return any(" 00010000 " in line and line.endswith(f" {place}") for line in lines)
    state = "0A" if wire == "tcp" else "07"
    return f": 0100007F:{place:04X} 00000000:0000 {state}" in text(f"/proc/net/{wire}")


def same(path, content):
    found = pathlib.Path(path).read_bytes()
    digests = [hashlib.sha256(each).hexdigest() for each in (found, content)]
    assert digests[0] == digests[1], f"{len(found)} bytes came, or other ones than the {len(content)} that were sent"


def received(connection):
    return b"".join(iter(lambda: connection.recv(1 << 20), b""))


def endpoint(wire, place):
    """As Pier is told it."""
    return {"tcp": f"127.0.0.1:{place}", "udp": f"udp://127.0.0.1:{place}", "unix": place}[wire]


def front(stage, wire):
    return "127.0.0.1:0" if wire == "tcp" else stage.path("sock")


def place_of(told):
    """As the tools are told it."""
    return told if told.startswith("/") else int(told.rpartition(":")[2])
