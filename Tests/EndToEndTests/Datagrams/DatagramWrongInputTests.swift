import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Wrong input about datagrams: one sentence that says what is wrong, where, and what would be right.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct DatagramWrongInputTests {
    private static let longPath = "unix-dgram:///tmp/" + String(repeating: "x", count: 120)

    @Test(arguments: [
        ("upd://127.0.0.1:1", ["upd", "\"udp\"", "character 1"]), ("udp://127.0.0.1:65536", ["65536", "65535"]),
        ("udp://127.0.0.1", ["port"]), ("udp://127.0.0.1:+7", ["+7"]), ("udp://", ["udp://"]),
        ("unix-dgrm:///tmp/a", ["unix-dgrm", "unix-dgram"]), (longPath, ["107", "too long"]),
        ("udp://127.0.0.1:7?lnger=1s", ["lnger", "linger"]), ("udp://127.0.0.1:7?linger=5d", ["1m30s"]),
        ("unix-dgram:", ["unix-dgram:"]),
    ])
    func aBadEndpointOfConnectIsUsage(endpoint: String, parts: [String]) async throws {
        let client = try await pier("connect", endpoint)
        #expect(client.status == 2)
        for part in parts { expectOneSentence(client, part) }
    }

    @Test(arguments: [
        (["udp://127.0.0.1:0?max-sessions=0"], "above 0"), (["udp://127.0.0.1:0?max-sesions=5"], "max-sessions"),
        (["udp://127.0.0.1:0", "--max-sessions", "-1"], "max-sessions"), (["upd://127.0.0.1:0"], "udp"),
        ([longPath], "107"), (["udp://127.0.0.1:0", "--allow-remote-datagram"], "--allow-remote-datagrams"),
        (["udp://nosuch.invalid:0"], "nosuch.invalid"),
    ])
    func badWordsToServeAreUsage(words: [String], part: String) async throws {
        let server = try await outcome(of: [Place.pier, "serve", "echo"] + words)
        #expect(server.status == 2)
        expectOneSentence(server, part)
    }

    @Test func aUDPPortInUseIsAFailureThatSaysWhatToDo() async throws {
        try await servingDatagrams { server in
            for model in models {
                let second = try await pier("serve", "echo", server.places[0], "--model", model)
                #expect(second.status == 1)
                expectOneSentence(second, "choose another port")
            }
            #expect(try server.sender().ask("hello") == "hello")
        }
    }

    @Test(.enabled(if: Place.has("python3"), "python3 is not installed")) func tcpHasPortsOfItsOwn() async throws {
        let both = try await outcome(of: [
            "python3", "-c",
            """
            import socket, subprocess, sys
            # Of the ports that UDP chooses, one that nobody has in TCP.
            for _ in range(100):
                probe = socket.socket()
                probe.bind(('127.0.0.1', 0))
                port = probe.getsockname()[1]
                probe.close()
                server = subprocess.Popen([sys.argv[1], 'serve', 'echo', f'udp://127.0.0.1:{port}', f'127.0.0.1:{port}'],
                    stderr=subprocess.PIPE, text=True)
                told = [server.stderr.readline(), server.stderr.readline()]
                server.terminate()
                server.communicate()
                if told == [f'listening udp://127.0.0.1:{port}\\n', f'listening tcp://127.0.0.1:{port}\\n']:
                    sys.exit(0)
            sys.exit(1)
            """, Place.pier,
        ])
        #expect(both.status == 0, "\(both.errors)")
    }

    @Test func theSameIsToldInChinese() async throws {
        let chinese = ["LANG": "zh_CN.UTF-8"]
        let scheme = try await pier("connect", "upd://127.0.0.1:1", environment: chinese)
        #expect(scheme.status == 2)
        #expect(scheme.errors == "pier: 端点 \"upd://127.0.0.1:1\" 写错了，在第 1 个字符处：未知的方案 \"upd\"；你是不是想写 \"udp\"？\n")
        let path = try await pier("serve", "echo", Self.longPath, environment: chinese)
        #expect(path.status == 2)
        #expect(path.errors.contains("写错了") && path.errors.contains("最多 107 字节"), "\(path.errors)")
        let port = try freeUDPPort()
        let refused = try await pier("connect", "udp://127.0.0.1:\(port)", saying: "hello\n", environment: chinese)
        #expect(refused.status == 1)
        #expect(refused.errors.contains("连接被拒绝") && refused.errors.contains("先启动服务端"), "\(refused.errors)")
        try await servingDatagrams { server in
            let second = try await pier("serve", "echo", server.places[0], environment: chinese)
            #expect(second.status == 1)
            #expect(second.errors.contains("地址已被占用") && second.errors.contains("请换一个端口"), "\(second.errors)")
        }
    }
}
