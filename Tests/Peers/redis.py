"""redis-benchmark, and a Redis."""
import re

from stage import case, wait, free_port, is_bound, endpoint, place_of


def benchmark(stage, at_front, wire):
    """Redis behind a relay: one of them on a Unix socket, the other on a port. Every request is answered."""
    behind = stage.path("redis") if wire == "tcp" else free_port()
    where = ["--port", 0, "--unixsocket", behind] if wire == "tcp" else ["--port", behind, "--bind", "127.0.0.1"]
    redis = stage.start("redis-server", *where, "--save", "", "--dir", stage.folder, output=stage.path("log"))
    wait(lambda: is_bound("unix" if wire == "tcp" else "tcp", behind, redis))
    _, at = stage.listen("relay", at_front, endpoint("unix" if wire == "tcp" else "tcp", behind))
    place = ["-s", at] if wire == "unix" else ["-h", "127.0.0.1", "-p", place_of(at)]
    words = ["-n", 40000, "-c", 50, "-P", 16, "-d", 100, "-t", "set,get,lpush,lrange_100", "--csv"]
    asking = stage.start("redis-benchmark", *place, *words)
    said = asking.communicate()[0].decode()
    stage.end(asking)
    assert all(f'\n"{name}' in said for name in ("SET", "GET", "LPUSH", "LRANGE_100")), said
    known = ["-s", behind] if wire == "tcp" else ["-h", "127.0.0.1", "-p", behind]
    asking = stage.start("redis-cli", *known, "info", "commandstats")
    calls = dict(re.findall(r"cmdstat_(\w+):calls=(\d+)", asking.communicate()[0].decode()))
    # So many are asked for, and what is still in the pipelines at the end is answered too.
    assert all(int(calls[name]) >= 40000 for name in ("set", "get", "lrange")), calls


@case("redis-benchmark through relay, tcp to unix", "redis-server", "redis-benchmark", seconds=60)
def _(stage):
    benchmark(stage, "127.0.0.1:0", "tcp")


@case("redis-benchmark through relay, unix to tcp", "redis-server", "redis-benchmark", seconds=60)
def _(stage):
    benchmark(stage, stage.path("sock"), "unix")
