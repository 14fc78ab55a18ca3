import SystemPackage
import TestSupport
import Testing

@testable import Sockets

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Whatever an endpoint names, opened as a connection or as listeners.
@Suite(.inTurn) struct OpeningTests {
    @Test(arguments: Face.allCases)
    func anEndpointOfAnyStreamIsAConnection(_ face: Face) async throws {
        try await trial { _ in
            let listener = try Listener(on: "127.0.0.1:0")
            let server = Task { try await listener.serve { try await $0.send($0.receive(upTo: 9) ?? []) } }
            let path = try makeFile(Array("held".utf8))
            defer { unlink(path) }
            let pair = try Connection.pair()
            let copy = try pair.0.withDescriptor { copyAtOwnNumber($0) }
            let copied = OpenFile(copy)
            try await pair.1.send("adopted")
            let (read, write) = try makePipe()
            let readEnd = OpenFile(read)
            #expect(Glibc.write(write, "piped", 5) == 5)
            close(write)
            for (endpoint, said) in [
                ("\(listener.endpoint)", "hello"), ("exec:head -c 5", "hello"), ("file:\(path)?mode=read", "held"),
                ("fd:\(copy)", "adopted"), ("fd:\(read)", "piped"),
            ] {
                let stream = try await open(endpoint, by: face)
                if said == "hello" { try await stream.connection.send(Array("hello".utf8), by: face) }
                let got = try await stream.connection.receive(exactly: said.utf8.count, by: face)
                #expect(got == Array(said.utf8), "\(endpoint)")
                try await stream.finish(by: face)
            }
            #expect(!readEnd.isOpen)
            try await eventually { !copied.isOpen }
            pair.0.close()
            pair.1.close()
            listener.close()
            try await server.value
        }
    }

    @Test(arguments: Face.allCases)
    func aFileIsAppendedToUnlessToldOtherwise(_ face: Face) async throws {
        try await trial { _ in
            let path = try makeFile([1])
            defer { unlink(path) }
            for (query, expected) in [("", [1, 7] as [UInt8]), ("?mode=append", [1, 7, 7]), ("?mode=write", [7])] {
                let stream = try await open("file:\(path)\(query)", by: face)
                try await stream.connection.send([7], by: face)
                try await stream.finish(by: face)
                #expect(try contents(of: path) == expected)
            }
            let reading = try await Connection.open(Endpoint("file:\(path)"), file: .read)
            #expect(try await reading.connection.receiveAll() == [7])
            try await reading.finish()
            let error = await #expect(throws: SocketError.self) { try await open("file:\(path)?mode=reed", by: face) }
            #expect(error?.description.contains("mode is one of read, write, append") == true)
        }
    }

    @Test func aDescriptorIsTakenOverOnce() async throws {
        try await trial { (_) async throws in
            let (read, write) = try makePipe()
            let stream = try await open("fd:\(read)", by: .task)
            let again = try await cause { try await open("fd:\(read)", by: .task) }
            #expect(again == .misuse("it was taken over before; a descriptor can be used once"))
            close(write)
            #expect(try await stream.connection.receive(upTo: 9) == nil)
            try await stream.finish()
            // What could not be taken may be tried again.
            for _ in 0..<2 {
                #expect(try await cause { try await open("fd:1048576", by: .task) } == .system(.badFileDescriptor))
            }
        }
    }

    @Test func aListeningDescriptorIsAListener() async throws {
        try await trial { (_) async throws in
            let made = try Listener(on: "127.0.0.1:0")
            let number = try #require(made.socketDescription?.descriptor)
            let copy = copyAtOwnNumber(number)
            let listener = try #require(try Listener.open(Endpoint("fd:\(copy)?backlog=3")).first)
            #expect(listener.address == made.address)
            let client = try await Connection(to: made.endpoint)
            let accepted = try await listener.accept()
            #expect(throws: SocketError.self) { try Listener.open(Endpoint("fd:\(copy)")) }
            listener.close()
            made.close()
            let connected = try client.withDescriptor { copyAtOwnNumber($0) }
            let refused = try await cause { try Listener.open(Endpoint("fd:\(connected)")) }
            #expect(refused == .misuse("it is no listening socket; a connected one can only be the target"))
            close(connected)
            client.close()
            accepted.close()
            for endpoint in ["-", "exec:cat", "file:a"] {
                #expect(throws: SocketError.self) { try Listener.open(Endpoint(endpoint)) }
            }
        }
    }

    // MARK: - What the service manager passes on

    @Test func theEnvironmentIsReadStrictly() {
        func passed(_ process: String?, _ count: String?, _ names: String?) -> [String] {
            Inherited.passed(process: process, count: count, names: names, to: 42).map { "\($0.name)=\($0.descriptor)" }
        }
        #expect(passed("42", "2", "a:b") == ["a=3", "b=4"])
        #expect(passed("42", "3", "a:") == ["a=3", "unknown=4", "unknown=5"])
        #expect(passed("42", "1", nil) == ["unknown=3"])
        #expect(passed("42", "1", "a:b:c") == ["a=3"])
        for (process, count) in [
            ("43", "1"), (nil, "1"), ("42", nil), ("042", "1"), ("42", "0"), ("42", "-1"), ("42", "99999999"),
            ("42", "99999999999999999999999"), ("", "1"), ("42", "1 "),
        ] as [(String?, String?)] {
            #expect(passed(process, count, "a") == [], "\(process ?? "nil") \(count ?? "nil")")
        }
    }

    @Test func socketsOfTheServiceManagerAreListeners() async throws {
        await #expect(processExitsWith: .success) {
            let made = try Listener(on: "127.0.0.1:0")
            let number = try #require(made.socketDescription?.descriptor)
            let copy = fcntl(number, F_DUPFD, number + 1)
            // They are counted from 3, and what lies between is somebody else's.
            let between = String(repeating: "other:", count: Int(copy) - 3)
            setenv("LISTEN_PID", "\(getpid())", 1)
            setenv("LISTEN_FDS", "\(copy - 2)", 1)
            setenv("LISTEN_FDNAMES", between + "web", 1)
            let missing = #expect(throws: SocketError.self) { try Listener.open(Endpoint("systemd:wbe")) }
            #expect(missing?.description.contains("there are ") == true && missing?.description.contains("web") == true)
            // Other threads may be reading the environment.
            for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { #expect(getenv(name) != nil) }
            let words = ["sh", "-c", "echo ${LISTEN_PID-none} ${LISTEN_FDS-none} ${LISTEN_FDNAMES-none}"]
            let program = try ChildProcess(running: #require(Endpoint.Command(words)))
            #expect(try await program.connection.receiveLine() == "none none none")
            _ = await program.terminate()
            let found = try Listener.open(Endpoint("systemd:web"))
            #expect(found.map(\.address) == [made.address])
            #expect(fcntl(copy, F_GETFD) & FD_CLOEXEC != 0)
            #expect(throws: SocketError.self) { try Listener.open(Endpoint("systemd:web")) }
        }
        await #expect(processExitsWith: .success) {
            setenv("LISTEN_PID", "1", 1)
            setenv("LISTEN_FDS", "1", 1)
            let error = #expect(throws: SocketError.self) { try Listener.open(Endpoint("systemd:")) }
            #expect(error?.description.contains("has passed on no sockets") == true)
        }
    }

    private func open(_ endpoint: String, by face: Face) async throws -> OpenedStream {
        let endpoint = try Endpoint(endpoint)
        switch face {
        case .task: return try await Connection.open(endpoint)
        case .thread: return try await onThread { try Connection.open(endpoint) }
        }
    }
}

extension OpenedStream {
    fileprivate func finish(by face: Face) async throws {
        switch face {
        case .task: try await finish(within: patience)
        case .thread: _ = try await onThread { try self.finish(within: patience) }
        }
    }
}
