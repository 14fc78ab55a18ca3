"""Gigabytes through a relay, compared as they come."""
import contextlib, os, socket, threading

from stage import case, endpoint, front, place_of


def bulk(stage, wire, behind, size=1 << 29):
    """So many bytes each way at once, compared as they come."""
    block = os.urandom(16 << 20)
    wrong = []

    def trying(work, connection, start):
        """What fails ends the connection, and so the other threads."""
        try:
            work(connection, start)
        except Exception as error:
            wrong.append(f"{error}")
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def send(connection, start):
        sent = 0
        while sent < size:
            at = (start + sent) % len(block)
            sent += connection.send(memoryview(block)[at:at + min(1 << 20, size - sent)])
        connection.shutdown(socket.SHUT_WR)

    def compare(connection, start):
        got, buffer = 0, bytearray(1 << 20)
        while count := connection.recv_into(buffer, min(len(buffer), len(block) - (start + got) % len(block))):
            at = (start + got) % len(block)
            assert buffer[:count] == block[at:at + count], f"other bytes after {got}"
            got += count
        assert got == size, f"{got} bytes of {size}"

    path = stage.path("sock")
    listener = socket.create_server(("127.0.0.1", 0)) if behind == "tcp" else socket.socket(socket.AF_UNIX)
    with listener:
        if behind == "unix":
            listener.bind(path)
            listener.listen()
        place = path if behind == "unix" else listener.getsockname()[1]
        _, at = stage.listen("relay", front(stage, wire), endpoint(behind, place))
        with socket.socket(socket.AF_UNIX if wire == "unix" else socket.AF_INET) as one:
            one.connect(at if wire == "unix" else ("127.0.0.1", place_of(at)))
            with listener.accept()[0] as other:
                # Each direction begins elsewhere, so that bytes that came back would be noticed.
                threads = [threading.Thread(target=trying, args=words, daemon=True) for words in [
                    (send, one, 0), (compare, other, 0), (send, other, 12345), (compare, one, 12345)]]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
    assert not wrong, "; ".join(wrong)


for wire, behind in (("tcp", "tcp"), ("tcp", "unix"), ("unix", "tcp")):
    case(f"1 GiB through relay, half of it each way, {wire} to {behind}", seconds=120)(
        lambda stage, wire=wire, behind=behind: bulk(stage, wire, behind))


@case("1 GiB from a program through relay to a server", seconds=120)
def _(stage):
    block = os.urandom(16 << 20)
    path, got = stage.file(block), 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = stage.start(
            stage.pier, "relay", "exec:cat" + f" {path}" * 64, endpoint("tcp", listener.getsockname()[1]))
        with listener.accept()[0] as connection:
            buffer = bytearray(1 << 20)
            while count := connection.recv_into(buffer, min(len(buffer), len(block) - got % len(block))):
                assert buffer[:count] == block[got % len(block):got % len(block) + count], f"other bytes after {got}"
                got += count
        stage.end(relay)
    assert got == 1 << 30, f"{got} bytes came"
