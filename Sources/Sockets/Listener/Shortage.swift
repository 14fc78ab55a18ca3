package import SystemPackage

/// A want of descriptors or memory while accepting: how long to leave off, 5 ms at first, doubled up to half a second.
///
/// Accepting again at once would fail again at once, for ever.
package struct Shortage {
    private static let first = Duration.milliseconds(5)
    private static let longest = Duration.milliseconds(500)

    private var next = first

    package init() {}

    /// Whether it has only begun, and is to be told of.
    package var isNew: Bool { next == Self.first }

    package mutating func pause() -> Duration {
        defer { next = min(next * 2, Self.longest) }
        return next
    }
}

extension Errno {
    /// Whether the process or the system has run out of something that others will give back.
    package var isShortage: Bool {
        [.tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory].contains(self)
    }
}
