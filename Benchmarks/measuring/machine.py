"""The machine: which processors a run has, and what a reader of its figures must know of it."""
import hashlib, os, platform, resource, subprocess
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
REPOSITORY = BENCHMARKS.parent
# All that is built or installed for the benchmarks; `make clean` removes it with the rest.
BUILD = REPOSITORY / ".build" / "benchmarks"

PROCESSORS = sorted(os.sched_getaffinity(0))
# Server and load never share a processor where there are two, so that neither takes the other's time.
SERVER, LOAD = {PROCESSORS[0]}, {PROCESSORS[-1]}


def lift_limit_on_files():
    """Servers and loads inherit it. Gives what may be open then."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def first_line(*command):
    """The first line that a command says, or None when there is no such command or it fails."""
    try:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout.splitlines() or [""])[0].strip() if done.returncode == 0 else None


def processors():
    model, virtual = platform.machine(), False
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            model = value.strip()
        virtual = virtual or (name.strip() == "flags" and "hypervisor" in value)
    return f"{len(PROCESSORS)} × {model}" + (", in a virtual machine" if virtual else "")


def places():
    if len(PROCESSORS) > 1:
        return f"server on processor {min(SERVER)}, load on {max(LOAD)}"
    return "server and load share the only processor: read the figures with doubt"


def commit():
    name = first_line("git", "rev-parse", "--short=12", "HEAD")
    if not name:
        return "unknown"
    return name + (", with changes" if first_line("git", "status", "-s", "-uno") else "")


def digest(path):
    """The first digits of a file's SHA-256, so that a reader can tell two builds of one commit from another."""
    return "sha256 " + hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def load_average():
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def facts():
    """Pairs of a name and a sentence, for the head of a file of results."""
    return [
        ("commit", commit()),
        ("processors", processors()),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("swift", first_line("swift", "--version") or "unknown"),
        ("cc", first_line("cc", "--version") or "unknown"),
        ("places", places()),
        ("load average before", load_average()),
    ]
