import Sockets
import SystemPackage
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The file of a Unix listener: whose it is, who may use it, and who removes it.
@Suite(.inTurn) struct UnixPathTests {
    @Test func itIsThereWhileTheListenerIs() async throws {
        try await trial { _ in
            let path = temporaryPath("sock")
            let listener = try Listener(on: "unix:\(path)")
            #expect(access(path, F_OK) == 0)
            listener.close()
            #expect(access(path, F_OK) != 0)
            #expect(try await cause { try await Connection(to: "unix:\(path)") } == .system(.noSuchFileOrDirectory))
        }
    }

    @Test func itGoesWithAListenerThatWasLetGo() async throws {
        try await trial { _ in
            let path = temporaryPath("sock")
            do { _ = try Listener(on: "unix:\(path)") }
            #expect(access(path, F_OK) != 0)
        }
    }

    /// Mode 0600, whatever the umask: in a process of its own, because the umask is all threads'.
    @Test func onlyItsOwnerMayConnect() async throws {
        await #expect(processExitsWith: .success) {
            umask(0)
            let path = temporaryPath("sock")
            let listener = try Listener(on: "unix:\(path)")
            var status = stat()
            #expect(lstat(path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
            listener.close()
        }
    }

    @Test func aStalePathIsTakenOver() async throws {
        try await trial { _ in
            let path = temporaryPath("sock")
            leaveStale(path, CInt(SOCK_STREAM.rawValue))
            #expect(try await cause { try await Connection(to: "unix:\(path)") } == .system(.connectionRefused))
            let listener = try Listener(on: "unix:\(path)")
            let client = try await Connection(to: "unix:\(path)")
            client.close()
            listener.close()
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test func aPathThatAnswersIsNotTakenOver() async throws {
        try await trial { ledger in
            let path = temporaryPath("sock")
            let listener = try Listener(on: "unix:\(path)")
            #expect(try await cause { try Listener(on: "unix:\(path)") } == .system(.addressInUse))
            #expect(ledger.open.count == 1)
            // It is there still, and answers.
            let client = try await Connection(to: "unix:\(path)")
            try await client.send([1])
            client.close()
            listener.close()
        }
    }

    @Test func aPathWhoseQueueIsFullIsNotTakenOver() async throws {
        try await trial { _ in
            let path = temporaryPath("sock")
            let listener = try Listener.withRoomForOne(on: "unix:\(path)")
            let queued = try await Connection(to: "unix:\(path)")
            #expect(try await cause { try Listener(on: "unix:\(path)") } == .system(.addressInUse))
            #expect(access(path, F_OK) == 0)
            queued.close()
            listener.close()
        }
    }

    @Test func whatIsNoSocketStaysWhereItIs() async throws {
        try await trial { (ledger) async throws in
            let file = temporaryPath("file")
            close(open(file, O_CREAT | O_WRONLY, 0o600))
            let directory = temporaryPath("dir")
            mkdir(directory, 0o700)
            let link = temporaryPath("link")
            symlink("/tmp/pier-nowhere", link)
            for path in [file, directory, link] {
                #expect(try await cause { try Listener(on: "unix:\(path)") } != nil)
                var status = stat()
                #expect(lstat(path, &status) == 0)
                #expect(status.st_mode & S_IFMT != S_IFSOCK)
            }
            #expect(ledger.open.isEmpty)
            #expect(ledger.count(of: .unlink) == 0)
            unlink(file)
            rmdir(directory)
            unlink(link)
        }
    }

    /// D2: what stands in the way is told apart.
    @Test func eachThingInTheWayHasItsOwnError() async throws {
        try await trial { (ledger) async throws in
            let file = temporaryPath("file")
            close(open(file, O_CREAT | O_WRONLY, 0o600))
            let directory = temporaryPath("dir")
            mkdir(directory, 0o700)
            #expect(try await cause { try Listener(on: "unix:\(file)") } == .system(.notSocket))
            #expect(try await cause { try Listener(on: "unix:\(directory)") } == .system(.isDirectory))
            #expect(try await cause { try Listener(on: "unix:\(file)/below") } == .system(.notDirectory))
            #expect(
                try await cause { try Listener(on: "unix:\(directory)/none/sock") } == .system(.noSuchFileOrDirectory))
            unlink(file)
            rmdir(directory)
        }
    }

    @Test func aSocketOfAnotherTypeIsNotTakenOver() async throws {
        try await trial { (ledger) async throws in
            let path = temporaryPath("sock")
            let descriptor = bound(path, CInt(SOCK_DGRAM.rawValue))
            #expect(try await cause { try Listener(on: "unix:\(path)") } == .system(.addressInUse))
            #expect(
                try await cause { try await Connection(to: "unix:\(path)") } == .system(.protocolWrongTypeForSocket))
            #expect(access(path, F_OK) == 0)
            close(descriptor)
            unlink(path)
        }
    }

    @Test func anothersFileAtThePathIsNotRemoved() async throws {
        try await trial { _ in
            let path = temporaryPath("sock")
            let listener = try Listener(on: "unix:\(path)")
            unlink(path)
            let other = try Listener(on: "unix:\(path)")
            listener.close()
            #expect(access(path, F_OK) == 0)
            let client = try await Connection(to: "unix:\(path)")
            client.close()
            other.close()
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test(arguments: [106, 107])
    func aPathUpToTheLongestWorks(_ length: Int) async throws {
        try await trial { _ in
            let path = longPath(length)
            let listener = try Listener(on: "unix:\(path)")
            #expect("\(listener.address)" == path)
            let client = try await Connection(to: listener.endpoint)
            let server = try await listener.accept()
            try await client.send([1])
            #expect(try await server.receive(upTo: 1) == [1])
            server.close()
            listener.close()
        }
    }

    @Test(arguments: [108, 109, 5000])
    func aPathThatIsTooLongIsRefusedAndNotCut(_ length: Int) async throws {
        try await trial { (ledger) async throws in
            let ended = try await cause { try Listener(on: "unix:\(longPath(length))") }
            guard case .endpoint = ended else {
                Issue.record("\(String(describing: ended))")
                return
            }
            #expect(ledger.count(of: .socket) == 0)
        }
    }

    @Test(arguments: Face.allCases)
    func anAbstractNameNeedsNoFile(_ face: Face) async throws {
        try await trial { _ in
            let name = "pier-test-\(getpid())-\(face)"
            let listener = try Listener(on: "unix://@\(name)")
            #expect("\(listener.address)" == "@\(name)")
            #expect(try await cause { try Listener(on: "unix://@\(name)") } == .system(.addressInUse))
            let client = try await Connection.connect(to: "unix://@\(name)", by: face)
            let server = try await listener.accept(by: face)
            #expect(try server.peerCredentials.user == geteuid())
            #expect(client.remoteAddress == listener.address)
            server.close()
            listener.close()
        }
    }

    private func longPath(_ length: Int) -> String {
        let start = temporaryPath("")
        return start + String(repeating: "x", count: max(0, length - start.utf8.count))
    }

    /// A socket bound to a path by the bare system calls.
    private func bound(_ path: String, _ kind: CInt) -> CInt {
        let descriptor = socket(AF_UNIX, kind | CInt(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let code = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(code == 0)
        return descriptor
    }

    /// The file that a killed listener leaves behind.
    private func leaveStale(_ path: String, _ kind: CInt) {
        let descriptor = bound(path, kind)
        listen(descriptor, 1)
        close(descriptor)
    }

    @Test func aPathThatIsNoTextIsItsListenersToRemove() async throws {
        let folder = temporaryPath("d")
        mkdir(folder, 0o700)
        defer { rmdir(folder) }
        let listener = try Listener(on: "\(folder)/%FF.sock")
        let client = try await Connection(to: "\(folder)/%FF.sock")
        client.close()
        listener.close()
        // Only an empty folder can be removed.
        #expect(rmdir(folder) == 0)
    }

    @Test(arguments: ["duplex=fulll", "backlog=many"])
    func aBadParameterLeavesNoFile(_ parameter: String) async throws {
        let path = temporaryPath("sock")
        #expect(throws: SocketError.self) { try Listener(on: "\(path)?\(parameter)") }
        #expect(access(path, F_OK) == -1)
    }
}
