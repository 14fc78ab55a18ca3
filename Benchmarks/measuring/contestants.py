"""Who is measured: Pier, the floor in C, and what a user would write instead. Each tells how it is made and started."""
import os, shutil, subprocess, sys
from dataclasses import dataclass
from typing import Callable

from . import machine


class Skipped(Exception):
    """A rival that is not installed, or is not to be built, here. Its text says which."""


@dataclass
class Program:
    version: str
    command: Callable[[int, str], list]  # of the port and the transport, "tcp" or "udp"


@dataclass
class Contestant:
    name: str
    transports: tuple
    prepare: Callable[[], Program]


def make(what, *command, **environment):
    """Runs what builds or installs a rival, gently; the log is kept."""
    machine.BUILD.mkdir(parents=True, exist_ok=True)
    log = machine.BUILD / f"{what}.log"
    with open(log, "w") as file:
        try:
            done = subprocess.run(["nice", *map(str, command)], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                  timeout=1800, env={**os.environ, **environment})
        except subprocess.TimeoutExpired:
            raise Skipped(f"building took more than half an hour, see {log}")
    if done.returncode:
        raise Skipped(f"it does not build, see {log}")


def need(tool, name=None):
    if not shutil.which(tool):
        raise Skipped(f"{name or tool} is not installed")


def echoing(version, *words, last=()):
    """A program that takes PORT, and `udp` after it where it is to echo datagrams."""
    def command(port, transport):
        return [*map(str, words), str(port), *(["udp"] if transport == "udp" else []), *last]
    return Program(version, command)


def pier(path, loops=1):
    """The subject. It shows nothing, as the rivals show nothing."""
    def command(port, transport):
        return [str(path), "serve", "echo", f"{transport}://127.0.0.1:{port}", "--show", "none", "--loops", str(loops)]
    return Program(f"{machine.first_line(str(path), '--version')}, {machine.digest(path)}", command)


def other(path):
    """Another build of Pier, to see what a change did."""
    return Contestant("other", ("tcp", "udp"), lambda: Program(f"{path}, {machine.digest(path)}", pier(path).command))


def c_program(name, sources):
    need("cc", "a C compiler")
    make(name, "cc", "-O2", "-Wall", "-pthread", "-o", machine.BUILD / name, *sources)
    return machine.BUILD / name


def floor(loops=1):
    folder = machine.BENCHMARKS / "floor"
    streams = c_program("floor-echo", [folder / "echo.c"])
    datagrams = c_program("floor-datagrams", [folder / "datagrams.c"])
    version = machine.first_line("cc", "--version")
    def command(port, transport):
        return [str(datagrams), str(port)] if transport == "udp" else [str(streams), str(port), str(loops)]
    return Program(version, command)


def in_swift(product, version):
    def prepare():
        need("swift")
        scratch = machine.BUILD / "swift"
        make(f"swift-{product}", "swift", "build", "-c", "release", "--static-swift-stdlib", "--product", product,
             "--package-path", machine.BENCHMARKS / "rivals" / "swift", "--scratch-path", scratch)
        return echoing(version, scratch / "release" / product)
    return prepare


def straight():
    """Pier's library as the front page uses it: a receive and a send for each message."""
    need("swift")
    scratch = machine.BUILD / "straight"
    make("straight", "swift", "build", "-c", "release", "--static-swift-stdlib", "--product", "straight",
         "--package-path", machine.BENCHMARKS.parent, "--scratch-path", scratch, PIER_BENCHMARKS="1")
    return echoing(machine.digest(scratch / "release" / "straight"), scratch / "release" / "straight")


def go():
    need("go")
    binary = machine.BUILD / "echo-go"
    make("go", "go", "build", "-o", binary, machine.BENCHMARKS / "rivals" / "go" / "echo.go")
    # One processor's worth of goroutines, as the others have one loop.
    return echoing(machine.first_line("go", "version"), "env", "GOMAXPROCS=1", binary)


PYTHON_ECHO = machine.BENCHMARKS / "rivals" / "python" / "echo.py"


def asyncio():
    return echoing(f"Python {sys.version.split()[0]}", sys.executable, PYTHON_ECHO)


def uvloop():
    """The one that is installed; or else one of its own below .build, if pip can fetch it."""
    python = sys.executable
    if not uvloop_version(python):
        folder = machine.BUILD / "python"
        python = folder / "bin" / "python"
        if not uvloop_version(python):
            try:
                make("uvloop", sys.executable, "-m", "venv", folder)
                make("uvloop", python, "-m", "pip", "install", "--disable-pip-version-check", "uvloop==0.22.1")
            except Skipped:
                raise Skipped(f"uvloop is not installed, nor can it be from here, see {machine.BUILD / 'uvloop.log'}")
    version = uvloop_version(python)
    if not version:
        raise Skipped("uvloop is not installed")
    return echoing(f"uvloop {version}, Python {sys.version.split()[0]}", python, PYTHON_ECHO, last=["uvloop"])


def uvloop_version(python):
    return machine.first_line(str(python), "-c", "import uvloop; print(uvloop.__version__)")


RIVALS = [
    Contestant("floor", ("tcp", "udp"), floor),
    Contestant("straight-line", ("tcp",), straight),
    Contestant("nio-handlers", ("tcp", "udp"), in_swift("nio-handlers", "SwiftNIO 2.101.2")),
    Contestant("nio-async", ("tcp",), in_swift("nio-async", "SwiftNIO 2.101.2")),
    Contestant("flyingsocks", ("tcp",), in_swift("flyingsocks", "FlyingFox 0.27.1")),
    Contestant("go", ("tcp", "udp"), go),
    Contestant("asyncio", ("tcp", "udp"), asyncio),
    Contestant("uvloop", ("tcp", "udp"), uvloop),
]
