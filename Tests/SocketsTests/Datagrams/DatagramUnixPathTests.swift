import Sockets
import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The file of a bound Unix datagram socket: whose it is, who may use it, and who removes it.
@Suite(.inTurn) struct DatagramUnixPathTests {
    @Test func itIsThereWhileTheSocketIs() async throws {
        try await trial { _ in
            let path = temporaryPath("dgram")
            let socket = try DatagramSocket(on: "unix-dgram://\(path)")
            #expect(access(path, F_OK) == 0)
            socket.close()
            #expect(access(path, F_OK) != 0)
            #expect(
                try await cause { try await DatagramSocket(to: "unix-dgram:\(path)") }
                    == .system(.noSuchFileOrDirectory))
        }
    }

    /// A working directory is the whole process's, so in a process of its own.
    @Test func aRelativePathIsTakenFromTheWorkingDirectory() async throws {
        await #expect(processExitsWith: .success) {
            #expect(chdir("/tmp") == 0)
            let name = String(temporaryPath("dgram").dropFirst("/tmp/".count))
            let socket = try DatagramSocket(on: "unix-dgram:\(name)")
            let client = try await DatagramSocket(to: "unix-dgram:/tmp/\(name)")
            try await client.send([1])
            #expect(try await socket.receive().bytes == [1])
            client.close()
            socket.close()
            #expect(access("/tmp/\(name)", F_OK) != 0)
        }
    }

    /// Mode 0600, whatever the umask: in a process of its own, because the umask is all threads'.
    @Test func onlyItsOwnerMaySend() async throws {
        await #expect(processExitsWith: .success) {
            umask(0)
            let path = temporaryPath("dgram")
            let socket = try DatagramSocket(on: "unix-dgram:\(path)")
            var status = stat()
            #expect(lstat(path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
            socket.close()
        }
    }

    @Test(arguments: [SOCK_DGRAM, SOCK_STREAM])
    func aStalePathIsTakenOver(_ type: __socket_type) async throws {
        try await trial { _ in
            let path = temporaryPath("dgram")
            leaveStale(path, CInt(type.rawValue))
            // Whoever is started at that moment holds a copy of the dead socket until it runs its own program.
            let found = Notes<DatagramSocket>()
            try await eventually {
                if let socket = try? DatagramSocket(on: "unix-dgram:\(path)") { found.add(socket) }
                return !found.all.isEmpty
            }
            let socket = try #require(found.all.first)
            let client = try await DatagramSocket(to: "unix-dgram:\(path)")
            try await client.send([1])
            #expect(try await socket.receive().bytes == [1])
            client.close()
            socket.close()
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test func aPathThatSomebodyIsOnIsNotTakenOver() async throws {
        try await trial { ledger in
            let path = temporaryPath("dgram")
            let socket = try DatagramSocket(on: "unix-dgram:\(path)")
            #expect(try await cause { try DatagramSocket(on: "unix-dgram:\(path)") } == .system(.addressInUse))
            #expect(ledger.open.count == 1)
            // That somebody asked is no datagram to its owner.
            let client = try await DatagramSocket(to: "unix-dgram:\(path)")
            try await client.send([1])
            #expect(try await socket.receive().bytes == [1])
            client.close()
            socket.close()
        }
    }

    @Test func aPathWhoseReceiversQueueIsFullIsNotTakenOver() async throws {
        try await trial { _ in
            let path = temporaryPath("dgram")
            let socket = try DatagramSocket(on: "unix-dgram:\(path)")
            let client = try await DatagramSocket(to: "unix-dgram:\(path)")
            client.fillPeer()
            #expect(try await cause { try DatagramSocket(on: "unix-dgram:\(path)") } == .system(.addressInUse))
            #expect(access(path, F_OK) == 0)
            client.close()
            socket.close()
        }
    }

    @Test func aListenersPathIsNotTakenOver() async throws {
        try await trial { _ in
            let path = temporaryPath("sock")
            let listener = try Listener(on: "unix:\(path)")
            #expect(try await cause { try DatagramSocket(on: "unix-dgram:\(path)") } == .system(.addressInUse))
            let client = try await Connection(to: "unix:\(path)")
            client.close()
            listener.close()
            let socket = try DatagramSocket(on: "unix-dgram:\(path)")
            #expect(try await cause { try Listener(on: "unix:\(path)") } == .system(.addressInUse))
            socket.close()
        }
    }

    @Test func aFileThatIsNoSocketIsNotTakenOver() async throws {
        try await trial { (_) async throws in
            let path = temporaryPath("dgram")
            Glibc.close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600))
            defer { unlink(path) }
            #expect(try await cause { try DatagramSocket(on: "unix-dgram:\(path)") } == .system(.notSocket))
            #expect(access(path, F_OK) == 0)
        }
    }

    @Test func aFileThatTookItsPlaceStays() async throws {
        try await trial { _ in
            let path = temporaryPath("dgram")
            let first = try DatagramSocket(on: "unix-dgram:\(path)")
            unlink(path)
            let second = try DatagramSocket(on: "unix-dgram:\(path)")
            first.close()
            #expect(access(path, F_OK) == 0)
            let client = try await DatagramSocket(to: "unix-dgram:\(path)")
            try await client.send([1])
            #expect(try await second.receive().bytes == [1])
            client.close()
            second.close()
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test func aBoundSocketOfANameSendsWithItsName() async throws {
        try await trial { _ in
            let one = try DatagramSocket(on: DatagramKind.unixPath.endpoint)
            let other = try DatagramSocket(on: DatagramKind.unixAbstract.endpoint)
            try await one.send([1], to: other.localAddress)
            #expect(try await other.receive() == Datagram(bytes: [1], sender: one.localAddress))
            try await other.send([2], to: one.localAddress)
            #expect(try await one.receive() == Datagram(bytes: [2], sender: other.localAddress))
            one.close()
            other.close()
        }
    }

    /// The path that a connected socket sends from is its own as a bound one's is.
    @Test(arguments: Face.allCases)
    func aSourcesFileIsPrivateAndGoesAwayWithItsSocket(_ face: Face) async throws {
        try await trial { _ in
            let (path, stale) = (temporaryPath("source"), temporaryPath("source"))
            let server = try DatagramSocket(on: DatagramKind.unixPath.endpoint)
            let source = SocketAddress.unix(try #require(UnixAddress(path: path)))
            let client = try await DatagramSocket.connect(to: "\(server.endpoint)", from: source, by: face)
            var status = stat()
            #expect(lstat(path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
            try await client.send([1])
            #expect(try await server.receive().sender == source)
            client.close()
            #expect(access(path, F_OK) != 0)
            // Nor does one that could not connect leave its file.
            server.close()
            let other = SocketAddress.unix(try #require(UnixAddress(path: stale)))
            let ended = try await cause {
                try await DatagramSocket.connect(to: "\(server.endpoint)", from: other, by: face)
            }
            #expect(ended == .system(.noSuchFileOrDirectory))
            #expect(access(stale, F_OK) != 0)
        }
    }

    /// The file that a killed program leaves behind.
    private func leaveStale(_ path: String, _ type: CInt) {
        let descriptor = socket(AF_UNIX, type | CInt(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let code = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(code == 0)
        Glibc.close(descriptor)
    }
}
