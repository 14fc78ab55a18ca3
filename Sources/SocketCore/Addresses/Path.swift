extension Endpoint {
    /// The path of a file, which is bytes: as text it could name another file.
    public struct Path: Hashable, Sendable {
        let bytes: [UInt8]

        /// The longest path, in bytes: `PATH_MAX` without the final zero.
        public static let longest = 4095

        /// A path; nil if it is empty, longer than `longest` bytes, or holds a zero byte.
        public init?(_ path: String) { self.init(bytes: Array(path.utf8)) }

        init?(bytes: [UInt8]) {
            guard !bytes.isEmpty, bytes.count <= Self.longest, !bytes.contains(0) else { return nil }
            self.bytes = bytes
        }

        /// Whether it starts at the root.
        public var isAbsolute: Bool { bytes.first == UInt8(ascii: "/") }

        /// Calls `body` with the path as C takes it.
        func withPath<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
            let path = bytes.map { CChar(bitPattern: $0) } + [0]
            return path.withUnsafeBufferPointer { buffer in
                // Never empty: it holds the final zero.
                buffer.baseAddress.map(body) ?? body([0])
            }
        }
    }
}

extension Endpoint.Path: CustomStringConvertible {
    /// The path with what a grammar or a terminal would take for something else as `%XX`.
    public var description: String { percentEscaped(bytes[...]) }
}
