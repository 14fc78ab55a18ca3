import Testing
import TestSupport

/// The tutorial's own two programs, and the tools that everybody has, talk to Pier unchanged.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct TutorialTests {
    /// The tutorial's server, with its indentation and another port.
    private static func server(_ port: UInt16) -> String {
        """
        import socket
        server = socket.socket()
        server.bind(('127.0.0.5',\(port)))
        server.listen(5)
        while True:
            a,b = server.accept()
            while True:
                date = a.recv(1024)
                if date:
                    print("已收到信息-->{}".format(date.decode()))
                    a.send(date)
                else:
                    a.close()
                    break;
        """
    }

    /// The tutorial's client, with another port.
    private static func client(_ port: UInt16) -> String {
        """
        import socket
        client = socket.socket()
        client.connect(('127.0.0.5',\(port)))
        mess = input('--->').encode()
        client.send(mess)
        print("已收到信息-->{}".format(client.recv(1024)))
        client.close()
        """
    }

    @Test(
        .enabled(if: Place.has("python3"), "python3 is not installed"),
        arguments: ["tasks", "callbacks", "threads", "blocking"])
    func theTutorialsClientTalksToServeEcho(model: String) async throws {
        let place = "127.0.0.5:0"
        try await running("serve", "echo", place, "--model", model, environment: ["LC_ALL": "zh_CN.UTF-8"]) { server in
            let port = try await listeningPort(of: server)
            let client = try await outcome(of: ["python3", "-c", Self.client(port)], saying: "hello,world!\n")
            #expect(client.output == "--->已收到信息-->b'hello,world!'\n")
            #expect(client.status == 0, "\(client.errors)")
            let line = try await server.output.line(with: "hello,world!")
            #expect(line.hasSuffix(" 已收到信息-->hello,world!"))
        }
    }

    @Test(.enabled(if: Place.has("python3"), "python3 is not installed"))
    func connectInHalfDuplexTalksToTheTutorialsServer() async throws {
        let port = try freePort(host: "127.0.0.5")
        try await starting(["python3", "-c", Self.server(port)]) { server in
            // The tutorial's server tells nobody when it listens; it takes a client that says nothing in its stride.
            try await eventually(patience, "listening") { (try? Peer(port: port, host: "127.0.0.5")) != nil }
            let client = try await pier(
                "connect", "127.0.0.5:\(port)", "--duplex", "half", saying: "hello,world!\n你好\n",
                environment: ["LANG": "zh_CN.UTF-8"])
            #expect(client.output == "--->已收到回应-->hello,world!\n--->已收到回应-->你好\n--->")
            #expect(client.status == 0, "\(client.errors)")
            try await server.output.line(with: "已收到信息-->hello,world!")
            try await server.output.line(with: "已收到信息-->你好")
        }
    }

    @Test(.enabled(if: Place.has("python3"), "python3 is not installed"))
    func pythonsSocketsGetTheirBytesBack() async throws {
        try await serving("--show", "none") { server in
            let program = """
                import os, socket
                sent = os.urandom(1000000)
                client = socket.create_connection(('127.0.0.1', \(server.port)))
                got = b''
                for start in range(0, len(sent), 50000):
                    piece = sent[start:start + 50000]
                    client.sendall(piece)
                    while len(got) < start + len(piece):
                        got += client.recv(65536)
                client.shutdown(socket.SHUT_WR)
                print(got == sent, client.recv(10))
                """
            let client = try await outcome(of: ["python3", "-c", program])
            #expect(client.output == "True b''\n", "\(client.errors)")
        }
    }

    @Test(.enabled(if: Place.has("nc"), "nc is not installed"))
    func netcatGetsItsBytesBack() async throws {
        try await serving { server in
            let client = try await outcome(of: ["nc", "-N", "127.0.0.1", "\(server.port)"], saying: "hello,world!\n")
            #expect(client.output == "hello,world!\n")
            #expect(client.status == 0)
        }
    }

    @Test(.enabled(if: Place.has("ncat"), "ncat is not installed"))
    func ncatGetsItsBytesBack() async throws {
        try await serving { server in
            let client = try await outcome(of: ["ncat", "127.0.0.1", "\(server.port)"], saying: "hello,world!\n")
            #expect(client.output == "hello,world!\n")
            #expect(client.status == 0)
        }
    }

    @Test(.enabled(if: Place.has("socat"), "socat is not installed"))
    func socatGetsItsBytesBackOverTCPAndUnix() async throws {
        let path = temporaryPath("sock")
        try await serving(path) { server in
            for place in ["TCP:127.0.0.1:\(server.port)", "UNIX-CONNECT:\(path)"] {
                let client = try await outcome(of: ["socat", "-t20", "-", place], saying: "hello,world!\n")
                #expect(client.output == "hello,world!\n", "\(place)")
                #expect(client.status == 0, "\(client.errors)")
            }
        }
    }

    @Test(.enabled(if: Place.has("ncat"), "ncat is not installed"))
    func connectTalksToNcatsEchoServer() async throws {
        let port = try freePort()
        try await starting(["ncat", "-l", "-k", "-e", "/bin/cat", "127.0.0.1", "\(port)"]) { _ in
            try await eventually(patience, "listening") { (try? Peer(port: port)) != nil }
            try await running("connect", "127.0.0.1:\(port)") { client in
                client.write("hello,world!\n")
                // ncat ends its program as soon as its client has finished, so the reply is waited for first.
                try await client.output.begins(with: "hello,world!\n")
                client.finishInput()
                #expect(try await client.end() == 0)
                #expect(client.output.text == "hello,world!\n")
            }
        }
    }
}
