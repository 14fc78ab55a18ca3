#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Where a Unix socket is: a path, a name in Linux's abstract namespace, or nowhere (see `unix(7)`).
public struct UnixAddress: Hashable, Sendable {
    /// What the kernel keeps in `sun_path`: a path without its final zero; a zero and an abstract name; or nothing.
    let bytes: [UInt8]

    /// The kind of place.
    public enum Kind: Sendable, Hashable {
        /// A file of the type socket, with an owner and a mode.
        case path
        /// A name that is no file: it has no owner and no mode, and goes away with its last socket.
        case abstract
        /// The client of most Unix connections, which bound to nothing.
        case unnamed
    }

    /// The longest path, in bytes: `sun_path` is 108 long and a path ends with a zero.
    public static let longestPath = 107
    /// The longest abstract name, in bytes.
    public static let longestName = 107

    /// The socket at a path; nil if it is empty, longer than `longestPath` bytes, or holds a zero byte.
    public init?(path: String) {
        self.init(pathBytes: Array(path.utf8))
    }

    init?(pathBytes: [UInt8]) {
        guard !pathBytes.isEmpty, pathBytes.count <= Self.longestPath, !pathBytes.contains(0) else { return nil }
        bytes = pathBytes
    }

    /// The socket with a name in Linux's abstract namespace, written here without the leading `@`; nil if the name is
    /// empty, longer than `longestName` bytes, or holds a zero byte.
    public init?(abstract name: String) {
        self.init(abstractBytes: Array(name.utf8))
    }

    init?(abstractBytes: [UInt8]) {
        guard !abstractBytes.isEmpty, abstractBytes.count <= Self.longestName, !abstractBytes.contains(0) else {
            return nil
        }
        bytes = [0] + abstractBytes
    }

    /// From `sun_path`, as the kernel gave it.
    init(kernel path: UnsafeRawBufferPointer) {
        let path = path.prefix(Self.longestPath + 1)
        if let first = path.first, first != 0 {
            bytes = Array(path.prefix { $0 != 0 })
        } else {
            bytes = path.count > 1 ? Array(path) : []
        }
    }

    static let unnamed = UnixAddress(kernel: UnsafeRawBufferPointer(start: nil, count: 0))

    /// Whether this is a path, an abstract name, or no place.
    public var kind: Kind {
        switch bytes.first {
        case nil: .unnamed
        case 0?: .abstract
        case _?: .path
        }
    }

    /// Calls `body` with the path as C takes it; for a place that is none, with an empty one.
    func withPath<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
        let path = (kind == .path ? bytes : []).map { CChar(bitPattern: $0) } + [0]
        return path.withUnsafeBufferPointer { buffer in
            // Never empty: it holds the final zero.
            buffer.baseAddress.map(body) ?? body([0])
        }
    }

    /// The directory that a path is in, with a dot behind it, so that a link to it is followed; nil where there is none.
    package var directory: UnixAddress? {
        guard kind == .path else { return nil }
        let end = bytes.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
        return UnixAddress(pathBytes: bytes[..<end] + [UInt8(ascii: ".")])
    }

    /// The path, if this is one, as text; bytes that are no UTF-8 are replaced in it.
    public var path: String? {
        kind == .path ? String(decoding: bytes, as: UTF8.self) : nil
    }
}

extension UnixAddress: CustomStringConvertible {
    /// A path that starts with `/` or `.`, or `@` and an abstract name, or `unnamed`; bytes that a grammar or a terminal
    /// would take for something else are written as `%XX`.
    public var description: String {
        switch kind {
        case .unnamed: return "unnamed"
        case .abstract: return "@" + percentEscaped(bytes.dropFirst())
        case .path:
            let text = percentEscaped(bytes[...])
            // Before `./` too: a parser takes one such mark away.
            // In bytes: to a String, a slash and a combining mark are one character, and no slash.
            let isMarked = text.utf8.starts(with: "/".utf8) || text.utf8.starts(with: "../".utf8)
            return isMarked ? text : "./" + text
        }
    }
}
