"""Crowds of clients, and servers that take over from each other."""
import contextlib, os, socket, threading

from stage import case, text, dead, wait, received, place_of


def resident(process):
    return int(text(f"/proc/{process.pid}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


@case("a thousand senders of datagrams at once through relay, and forgotten when they are silent", seconds=60)
def _(stage):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        relay, at = stage.listen(
            "relay", "udp://127.0.0.1:0", f"udp://127.0.0.1:{target.getsockname()[1]}", "--idle-timeout", "1s")
        before, open_before = resident(relay), descriptors(relay)
        with contextlib.ExitStack() as made:
            clients = [made.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(1000)]
            # The questions of fifty at a time are under way: more would not fit in a receiver's queue.
            for first in range(0, 1000, 50):
                some = clients[first:first + 50]
                for number, client in enumerate(some, first):
                    client.connect(("127.0.0.1", place_of(at)))
                    client.send(b"question %d" % number)
                for _ in some:
                    question, sender = target.recvfrom(100)
                    target.sendto(question.replace(b"question", b"answer"), sender)
                for number, client in enumerate(some, first):
                    assert client.recv(100) == b"answer %d" % number
            full = resident(relay)
            wait(lambda: descriptors(relay) == open_before)
            wait(lambda: resident(relay) - before < (full - before) // 4)


@case("one server takes over from another, and no client is refused (B29)")
def _(stage):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number, refused = listener.fileno(), []

        def server():
            process = stage.start(stage.pier, "serve", "echo", f"fd:{number}", "--show", "none", pass_fds=[number])
            wait(lambda: "listening" in text(process.errors) or dead(process))
            return process

        def ask():
            while not enough.is_set():
                try:
                    with socket.create_connection(listener.getsockname(), timeout=20) as client:
                        client.sendall(b"still there?")
                        client.shutdown(socket.SHUT_WR)
                        assert received(client) == b"still there?", "another answer"
                    answered.append(1)
                except Exception as error:
                    refused.append(f"{type(error).__name__}: {error}")

        enough, answered, current = threading.Event(), [], server()
        asking = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for thread in asking:
            thread.start()
        for _ in range(5):
            following, so_far = server(), len(answered)
            current.terminate()
            stage.end(current)
            current = following
            wait(lambda: len(answered) > so_far + 100 or refused)
        enough.set()
        for thread in asking:
            thread.join()
        assert not refused, f"{len(refused)} of {len(refused) + len(answered)}: {refused[0]}"
