"""curl, and a local HTTP server."""
import contextlib, hashlib, http.server, os, pathlib, threading

from stage import case, text, same


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        said = hashlib.sha256(self.rfile.read(int(self.headers["Content-Length"]))).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def web(stage):
    """A server of a folder with one file: the file's bytes, and the server's port."""
    folder = stage.path("folder")
    os.mkdir(folder)
    content = os.urandom(8 << 20)
    pathlib.Path(folder, "file").write_bytes(content)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *all: Handler(*all, directory=folder)) as host:
        host.daemon_threads = True
        threading.Thread(target=host.serve_forever, daemon=True).start()
        yield content, host.server_address[1]
        host.shutdown()


@case("curl keeps a connection through relay for ten requests", "curl")
def _(stage):
    with web(stage) as (content, port):
        relay, at = stage.listen("relay", "127.0.0.1:0", f"127.0.0.1:{port}", "-v")
        asking = stage.start("curl", "-sS", "-w", "%{num_connects}\n", *["-o", "/dev/null", f"http://{at}/file"] * 10)
        assert asking.communicate()[0].split() == [b"1"] + [b"0"] * 9
        stage.end(asking)
        relay.terminate()
        stage.end(relay)
        assert "totals: 1 clients" in text(relay.errors)


@case("curl, many requests at once through relay on a Unix socket", "curl")
def _(stage):
    with web(stage) as (content, port):
        _, at = stage.listen("relay", stage.path("sock"), f"127.0.0.1:{port}")
        came = [stage.path("came") for _ in range(8)]
        words = [word for path in came for word in ("-o", path, "http://127.0.0.1/file")]
        stage.end(stage.start("curl", "-sS", "--fail", "-Z", "--unix-socket", at, *words))
        for path in came:
            same(path, content)


@case("curl uploads through relay, when told to continue", "curl")
def _(stage):
    with web(stage) as (content, port):
        _, at = stage.listen("relay", "127.0.0.1:0", f"127.0.0.1:{port}")
        words = ["-v", "-H", "Expect: 100-continue", "-T", stage.file(content)]
        asking = stage.start("curl", "-sS", *words, f"http://{at}/file")
        assert asking.communicate()[0].decode() == hashlib.sha256(content).hexdigest()
        stage.end(asking)
        assert "HTTP/1.1 100 Continue" in text(asking.errors)
