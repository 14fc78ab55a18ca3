import Sockets
import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("D5: a link or an open directory where a Unix path is to be", .inTurn)
struct UnixPathPlaceTests {
    /// What a link may point to.
    enum Behind: CaseIterable {
        case nothing, staleSocket, liveSocket, file
    }

    @Test(arguments: Behind.allCases)
    func aLinkIsNeitherFollowedNorRemoved(_ behind: Behind) async throws {
        try await trial { _ in
            let (target, link) = (temporaryPath("target"), temporaryPath("link"))
            defer {
                unlink(target)
                unlink(link)
            }
            var live: Listener?
            switch behind {
            case .nothing: break
            case .liveSocket: live = try Listener(on: target)
            case .file: close(open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600))
            case .staleSocket:
                let gone = try Listener(on: target)
                rename(target, target + "-kept")
                gone.close()
                rename(target + "-kept", target)
            }
            #expect(symlink(target, link) == 0)
            let before = inode(target)
            #expect(try await cause { try Listener(on: link) } == .system(.notSocket))
            var text = [CChar](repeating: 0, count: 128)
            #expect(readlink(link, &text, 127) == target.utf8.count)
            #expect(inode(target) == before)
            live?.close()
        }
    }

    /// Everybody could put a socket of his own in this one's place, and be taken for the server.
    @Test(arguments: [0o777, 0o722, 0o733] as [mode_t])
    func aDirectoryThatEverybodyMayChangeIsRefused(_ mode: mode_t) async throws {
        try await trial { _ in
            let directory = temporaryPath("d")
            let link = temporaryPath("link")
            #expect(mkdir(directory, 0o700) == 0)
            #expect(symlink(directory, link) == 0)
            defer {
                rmdir(directory)
                unlink(link)
            }
            for place in [directory, link, directory + "/.", directory + "/../" + directory.dropFirst("/tmp/".count)] {
                chmod(directory, mode)
                #expect(try await cause { try Listener(on: place + "/a.sock") } == .system(.notPermitted))
                #expect(access(directory + "/a.sock", F_OK) == -1)
                // With the sticky bit, as in /tmp, only its owner may move a file away.
                chmod(directory, mode | 0o1000)
                try Listener(on: place + "/a.sock").close()
                #expect(access(directory + "/a.sock", F_OK) == -1)
            }
        }
    }

    private func inode(_ path: String) -> UInt {
        var found = stat()
        return lstat(path, &found) == 0 ? UInt(found.st_ino) : 0
    }
}

@Suite("D7: a peer sends descriptors that nobody asked for", .inTurn)
struct UnaskedDescriptorTests {
    @Test(arguments: Face.allCases, [1, 253])
    func theBytesComeAndTheDescriptorsAreClosed(_ face: Face, _ count: Int) async throws {
        try await trial(over: .unix) { (_, client, server, _) async throws in
            // As long as somebody holds one end, the other has not come to its end.
            var ends: [CInt] = [-1, -1]
            let kind = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
            #expect(socketpair(AF_UNIX, CInt(kind), 0, &ends) == 0)
            defer { close(ends[0]) }
            #expect(try client.rawSend([1, 2, 3], withCopiesOf: ends[1], count) == 3)
            close(ends[1])
            var byte: UInt8 = 0
            #expect(read(ends[0], &byte, 1) == -1 && errno == EAGAIN)
            #expect(try await server.receive(exactly: 3, by: face) == [1, 2, 3])
            #expect(read(ends[0], &byte, 1) == 0)
            // The connection is none the worse for it.
            try await client.send([4], by: face)
            #expect(try await server.receive(upTo: 9, by: face) == [4])
        }
    }
}

extension Connection {
    /// Sends bytes as one message that carries a descriptor several times (SCM_RIGHTS).
    fileprivate func rawSend(_ bytes: [UInt8], withCopiesOf descriptor: CInt, _ count: Int) throws -> Int {
        try withDescriptor { fd in
            var bytes = bytes
            // A control message: its length, level and type, and the descriptors, filled up to a multiple of eight.
            let header: [CInt] = [CInt(16 + 4 * count), 0, SOL_SOCKET, CInt(SCM_RIGHTS)]
            var control = header + Array(repeating: descriptor, count: count) + (count % 2 == 1 ? [0] : [])
            return bytes.withUnsafeMutableBytes { bytes in
                control.withUnsafeMutableBytes { control in
                    var vector = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                    return withUnsafeMutablePointer(to: &vector) { vector in
                        var message = msghdr()
                        message.msg_iov = vector
                        message.msg_iovlen = 1
                        message.msg_control = control.baseAddress
                        message.msg_controllen = control.count
                        return sendmsg(fd, &message, CInt(MSG_NOSIGNAL))
                    }
                }
            }
        }
    }
}
