@testable import SocketCore
import Testing
import TestSupport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Addresses to the kernel and back.
@Suite(.inTurn) struct SocketAddressTests {
    @Test(arguments: [
        "127.0.0.1:0", "255.255.255.255:65535", "0.0.0.0:1", "[::1]:80", "[::]:0", "[fe80::1%lo]:80",
        "[fe80::1%77777]:9",
        "[2001:db8::1:2:3]:65535", "/run/a.sock", "/a", "./a", "@a", "@嗨", "/嗨",
    ])
    func anAddressComesBackFromTheKernelsForm(text: String) throws {
        let address = try SocketAddress(text)
        #expect(address.withSockAddr { copied($0, $1) } == address)
        #expect(address.description == text)
    }

    @Test func itsBytesAreInTheOrderOfTheNetwork() throws {
        let ipv4 = try SocketAddress("1.2.3.4:258").withSockAddr { bytes($0, $1) }
        #expect(ipv4.count == MemoryLayout<sockaddr_in>.size)
        #expect(Array(ipv4[2..<8]) == [1, 2, 1, 2, 3, 4])
        let ipv6 = try SocketAddress("[102:304::f10]:258").withSockAddr { bytes($0, $1) }
        #expect(ipv6.count == MemoryLayout<sockaddr_in6>.size)
        #expect(Array(ipv6[2..<4]) == [1, 2])
        #expect(Array(ipv6[8..<12]) == [1, 2, 3, 4])
        #expect(Array(ipv6[22..<24]) == [0x0f, 0x10])
    }

    @Test func aPathEndsWithAZeroAndAnAbstractNameWithItsLength() throws {
        let path = try SocketAddress("/ab").withSockAddr { bytes($0, $1) }
        #expect(Array(path[2...]) == Array("/ab\0".utf8))
        let abstract = try SocketAddress("@ab").withSockAddr { bytes($0, $1) }
        #expect(Array(abstract[2...]) == Array("\0ab".utf8))
        let unnamed = SocketAddress.unnamed.withSockAddr { bytes($0, $1) }
        #expect(unnamed.count == 2)
    }

    @Test func aMappedPeerOfADualStackSocketHasItsIPv4Address() throws {
        let mapped = IPv6Address(high: 0, low: 0xffff_7f00_0001)
        let fromKernel = SocketAddress.ipv6(mapped, port: 80).withSockAddr { copied($0, $1) }
        #expect(fromKernel == .ipv4(.loopback, port: 80))
    }

    // Not of our making: any program may bind such a name and connect.
    @Test(
        arguments: [
            ([0, 0xff, 0xfe], "@%FF%FE"), ([0, 0x61, 0, 0x62], "@a%00b"), ([0, 0x1b, 0x5b, 0x41], "@%1B[A"),
            ([0, 0xc2, 0x9b], "@%C2%9B"), ([0, 0xe2, 0x80, 0xae], "@%E2%80%AE"), ([0, 0x25, 0x3f, 0x26], "@%25%3F%26"),
            ([0, 0x40], "@@"), ([0], "unnamed"), ([], "unnamed"), ([0, 0x7f], "@%7F"), ([0, 0x20], "@%20"),
            ([0, 0xe5, 0x97, 0xa8], "@嗨"), ([0, 0x0a], "@%0A"),
        ] as [([UInt8], String)])
    func anAbstractNameOfOddBytesPrintsSafely(path: [UInt8], printed: String) {
        let address = kernelAddress(AF_UNIX, path)
        #expect(address?.description == printed)
        #expect(address?.withSockAddr { Array(bytes($0, $1)[2...]) } == (path == [0] ? [] : path))
    }

    @Test func aPathFromTheKernelEndsAtItsZero() {
        #expect(kernelAddress(AF_UNIX, Array("/a\0rest".utf8))?.description == "/a")
        // sun_path filled to its end has no zero.
        let full = [UInt8](repeating: UInt8(ascii: "/"), count: 108)
        #expect(kernelAddress(AF_UNIX, full)?.description == String(repeating: "/", count: 108))
    }

    @Test func whatIsNoAddressOfOursIsNone() {
        #expect(kernelAddress(AF_INET, [1, 2, 3]) == nil)
        #expect(kernelAddress(AF_INET6, [UInt8](repeating: 0, count: 14)) == nil)
        #expect(kernelAddress(AF_PACKET, [UInt8](repeating: 0, count: 30)) == nil)
        #expect([UInt8]().withUnsafeBytes { SocketAddress(kernel: $0) } == nil)
        #expect([1 as UInt8].withUnsafeBytes { SocketAddress(kernel: $0) } == nil)
        #expect(SocketAddress.filled { _, _ in -1 } == nil)
    }

    @Test(arguments: [
        ("127.0.0.1:1", true), ("127.9.9.9:1", true), ("10.0.0.1:1", false), ("0.0.0.0:1", false), ("[::1]:1", true),
        ("[::]:1", false), ("[fe80::1%lo]:1", false), ("/a", true), ("@a", true), ("[::ffff:127.0.0.1]:1", true),
    ])
    func loopbackIsWhatOnlyThisMachineReaches(text: String, isLoopback: Bool) throws {
        #expect(try SocketAddress(text).isLoopback == isLoopback)
    }

    @Test func aMappedLoopbackAddressIsLoopbackToo() {
        #expect(SocketAddress.ipv6(IPv6Address(high: 0, low: 0xffff_7f00_0001), port: 1).isLoopback)
        #expect(!SocketAddress.ipv6(IPv6Address(high: 0, low: 0xffff_0a00_0001), port: 1).isLoopback)
    }

    @Test func anotherPortLeavesTheRestAsItIs() throws {
        #expect(try SocketAddress("1.2.3.4:5").with(port: 6) == SocketAddress("1.2.3.4:6"))
        #expect(try SocketAddress("[fe80::1%lo]:5").with(port: 6) == SocketAddress("[fe80::1%lo]:6"))
        #expect(try SocketAddress("/a").with(port: 6) == SocketAddress("/a"))
        #expect(try SocketAddress("1.2.3.4:5").port == 5)
        #expect(try SocketAddress("[::1]:5").port == 5)
        #expect(try SocketAddress("/a").port == nil)
    }
}

@Suite(.inTurn) struct UnixAddressTests {
    @Test(arguments: [(0, false), (1, true), (107, true), (108, false), (109, false), (300, false)])
    func aPathAndANameHaveOneTo107Bytes(count: Int, isTaken: Bool) {
        let text = String(repeating: "a", count: count)
        #expect((UnixAddress(path: text) != nil) == isTaken)
        #expect((UnixAddress(abstract: text) != nil) == isTaken)
    }

    @Test(arguments: ["\0", "a\0", "\0a", "a\0b"])
    func aZeroByteIsRefused(text: String) {
        #expect(UnixAddress(path: text) == nil)
        #expect(UnixAddress(abstract: text) == nil)
    }

    @Test func itKnowsItsKind() {
        #expect(UnixAddress(path: "@a")?.kind == .path)
        #expect(UnixAddress(path: "@a")?.path == "@a")
        #expect(UnixAddress(abstract: "/a")?.kind == .abstract)
        #expect(UnixAddress(abstract: "/a")?.path == nil)
        #expect(UnixAddress.unnamed.kind == .unnamed)
    }
}

private func bytes(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: address, count: Int(length)))
}

private func copied(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> SocketAddress? {
    SocketAddress.filled { to, room in
        guard room.pointee >= length else { return -1 }
        memcpy(to, address, Int(length))
        room.pointee = length
        return 0
    }
}

private func kernelAddress(_ family: CInt, _ rest: [UInt8]) -> SocketAddress? {
    let whole = withUnsafeBytes(of: sa_family_t(family)) { Array($0) } + rest
    return whole.withUnsafeBytes { SocketAddress(kernel: $0) }
}

extension SocketAddressTests {
    /// Where several addresses are written one after another into the same place, none ends with what is left of another.
    @Test func anAddressIsWrittenWholeOverAnother() throws {
        let long = try SocketAddress("/tmp/a-very-long-path-that-was-here-before.sock")
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 16) { (room) -> Void in
            for text in ["/tmp/a.sock", "@name", "127.0.0.5:8520", "[fe80::1]:8520"] {
                _ = long.write(into: room)
                guard let address = try? SocketAddress(text) else {
                    Issue.record("\(text)")
                    return
                }
                let length = address.write(into: room)
                #expect(SocketAddress(kernel: UnsafeRawBufferPointer(rebasing: room.prefix(length))) == address)
                if case .unix(let unix) = address, unix.kind == .path { #expect(room[length - 1] == 0) }
            }
        }
    }
}
