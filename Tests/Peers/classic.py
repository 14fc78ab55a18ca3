"""nc, ncat and socat, on both sides of listen, serve, connect and relay."""
import os, socket, threading

from stage import case, wait, free_port, is_bound, same, received, endpoint, front, place_of


def client(tool, wire, place):
    """Sends its input, finishes, and writes what comes."""
    address = {"tcp": ["127.0.0.1", place], "udp": ["-u", "127.0.0.1", place], "unix": ["-U", place]}[wire]
    known = {"tcp": "TCP:127.0.0.1:", "udp": "UDP:127.0.0.1:", "unix": "UNIX-CONNECT:"}[wire]
    return {"nc": ["nc", "-N", *address], "ncat": ["ncat", *address],
            "socat": ["socat", "-t", "30", "-", f"{known}{place}"]}[tool]


def server(tool, wire, place):
    """The same for one client that comes."""
    address = {"tcp": ["127.0.0.1", place], "udp": ["-u", "127.0.0.1", place], "unix": ["-U", place]}[wire]
    known = {"tcp": f"TCP-LISTEN:{place},bind=127.0.0.1", "udp": f"UDP-LISTEN:{place},bind=127.0.0.1",
             "unix": f"UNIX-LISTEN:{place}"}[wire]
    return {"nc": ["nc", "-lN", *address], "ncat": ["ncat", "-l", *address],
            "socat": ["socat", "-t", "30", "-", known]}[tool]


def serve(stage, tool, wire, **more):
    """Starts a tool's server; the process, and where it is."""
    place = {"tcp": free_port, "udp": lambda: free_port(socket.SOCK_DGRAM), "unix": lambda: stage.path("sock")}[wire]()
    process = stage.start(*server(tool, wire, place), **more)
    wait(lambda: is_bound(wire, place, process))
    return process, place


def each_tool(tool):
    ours, theirs = os.urandom(3_000_001), os.urandom(4 << 20)
    # As a server, nc may leave off sending when its client has finished; whatever the client, one of bare system calls too.
    said = ours[:50_000] if tool == "nc" else ours

    for wire in ("tcp", "unix"):
        @case(f"{tool}, client of serve echo, {wire}", tool)
        def _(stage, wire=wire):
            _, at = stage.listen("serve", "echo", front(stage, wire), "--show", "none")
            came = stage.path("came")
            stage.end(stage.start(*client(tool, wire, place_of(at)), input=stage.file(ours), output=came))
            same(came, ours)

        @case(f"{tool}, client of listen, {wire}", tool)
        def _(stage, wire=wire):
            got, came = stage.path("got"), stage.path("came")
            host, at = stage.listen("listen", front(stage, wire), input=stage.file(ours), output=got)
            stage.end(stage.start(*client(tool, wire, place_of(at)), input=stage.file(theirs), output=came))
            stage.end(host)
            same(got, theirs)
            same(came, ours)

        @case(f"{tool}, server of connect, {wire}", tool)
        def _(stage, wire=wire):
            got, came = stage.path("got"), stage.path("came")
            host, place = serve(stage, tool, wire, input=stage.file(said), output=got)
            stage.end(stage.start(stage.pier, "connect", endpoint(wire, place), input=stage.file(theirs), output=came))
            stage.end(host)
            same(got, theirs)
            same(came, said)

        behind = "unix" if wire == "tcp" else "tcp"
        @case(f"{tool}, both ends of relay, {wire} to {behind}", tool)
        def _(stage, wire=wire, behind=behind):
            got, came = stage.path("got"), stage.path("came")
            host, place = serve(stage, tool, behind, input=stage.file(said), output=got)
            _, at = stage.listen("relay", front(stage, wire), endpoint(behind, place))
            stage.end(stage.start(*client(tool, wire, place_of(at)), input=stage.file(theirs), output=came))
            stage.end(host)
            same(got, theirs)
            same(came, said)

        @case(f"{tool} finishes, and then hears the answer through relay, {wire}", tool)
        def _(stage, wire=wire):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                _, at = stage.listen("relay", front(stage, wire), endpoint("tcp", listener.getsockname()[1]))
                came = stage.path("came")
                asking = stage.start(*client(tool, wire, place_of(at)), input=stage.file(theirs), output=came)
                with listener.accept()[0] as connection:
                    assert received(connection) == theirs
                    connection.sendall(ours)
                stage.end(asking)
                same(came, ours)

    # ncat ends when its peer has finished.
    if tool != "ncat":
        @case(f"{tool} is heard through relay after its server has finished", tool)
        def _(stage):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                _, at = stage.listen("relay", "127.0.0.1:0", endpoint("tcp", listener.getsockname()[1]))
                came = stage.path("came")
                speaking = stage.start(*client(tool, "tcp", place_of(at)), input=None, output=came)
                with listener.accept()[0] as connection:
                    connection.sendall(ours)
                    connection.shutdown(socket.SHUT_WR)
                    wait(lambda: os.path.getsize(came) == len(ours))
                    threading.Thread(target=speaking.communicate, args=(theirs,), daemon=True).start()
                    assert received(connection) == theirs
                same(came, ours)

    @case(f"connect goes on after {tool} has finished", tool)
    def _(stage):
        got = stage.path("got")
        host, place = serve(stage, tool, "tcp", output=got)
        stage.end(stage.start(stage.pier, "connect", endpoint("tcp", place), input=stage.file(theirs)))
        stage.end(host)
        same(got, theirs)

    @case(f"{tool}, client of serve echo, udp", tool)
    def _(stage):
        _, at = stage.listen("serve", "echo", "udp://127.0.0.1:0", "--show", "none")
        asking = stage.start(*client(tool, "udp", place_of(at)), input=None, bufsize=0)
        for number in range(200):
            message = os.urandom(1 + number * 7)
            asking.stdin.write(message)
            assert exactly(asking, len(message)) == message

    @case(f"{tool}, server of connect, udp", tool)
    def _(stage):
        host, place = serve(stage, tool, "udp", input=None, bufsize=0)
        asking = stage.start(stage.pier, "connect", endpoint("udp", place), "--linger", "100ms", input=None, bufsize=0)
        for number in range(100):
            question, answer = os.urandom(1 + number * 7), os.urandom(900)
            asking.stdin.write(question)
            assert exactly(host, len(question)) == question
            host.stdin.write(answer)
            assert exactly(asking, len(answer)) == answer
        asking.stdin.close()
        stage.end(asking)


def exactly(process, count):
    got = b""
    while len(got) < count:
        more = process.stdout.read(count - len(got))
        assert more, f"{process.args[0]} wrote {len(got)} bytes of {count}"
        got += more
    return got


for tool in ("nc", "ncat", "socat"):
    each_tool(tool)
