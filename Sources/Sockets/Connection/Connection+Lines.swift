internal import Loops
public import SocketCore
internal import SystemPackage

extension Connection {
    /// Receives one line without its end (LF or CR LF); nil when the peer has finished. A last line may lack its end.
    ///
    /// Waits until the line is whole. Throws `.misuse` for a limit below 1, and `.lineTooLong` when more than `limit` bytes
    /// come, not counting a line's end, without one; what has come stays and can still be received. Corresponds to
    /// `recv(2)`, as often as it takes.
    public func receiveLine(upTo limit: Int = 65536) async throws(SocketError) -> String? {
        var search = try search(limit)
        return try line(
            try await perform(.receive, .receive, outcome: LineSearch.outcome) { (fd) throws(Errno) in
                try attemptLine(fd, &search)
            }, limit)
    }

    /// Receives one line without its end (LF or CR LF); nil when the peer has finished. A last line may lack its end.
    ///
    /// Blocks the thread until the line is whole. Throws as the form with `await` does. Corresponds to `recv(2)`.
    @available(*, noasync)
    public func receiveLine(upTo limit: Int = 65536) throws(SocketError) -> String? {
        var search = try search(limit)
        return try line(
            try performBlocking(.receive, .receive, outcome: LineSearch.outcome) { (fd) throws(Errno) in
                try attemptLine(fd, &search)
            }, limit)
    }

    private func search(_ limit: Int) throws(SocketError) -> LineSearch {
        if let wrong = SocketError.Cause.refusing("the limit of a line", limit) { throw error(.receive, wrong) }
        return LineSearch(limit: limit)
    }

    private func attemptLine(_ fd: CInt, _ search: inout LineSearch) throws(Errno) -> Attempt<LineSearch.Found> {
        while true {
            if let length = search.length(in: unread.all) { return .done(.line(Array(unread.take(upTo: length)))) }
            if search.isOver { return .done(.tooLong) }
            // Straight from the socket: what is held has been searched.
            switch try attemptReceive(fd, upTo: 16384, pastUnread: true) {
            case .wait(let direction): return .wait(direction)
            case .done(let more?): unread.append(more)
            case .done(nil): return .done(.last(Array(unread.take(upTo: .max))))
            }
        }
    }

    private func line(_ found: LineSearch.Found, _ limit: Int) throws(SocketError) -> String? {
        var bytes: ArraySlice<UInt8>
        switch found {
        case .tooLong: throw error(.receive, .lineTooLong(limit: limit))
        case .line(let whole): bytes = whole[...].dropLast()
        case .last(let rest):
            guard !rest.isEmpty else { return nil }
            bytes = rest[...]
        }
        if bytes.last == UInt8(ascii: "\r") { bytes = bytes.dropLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// How far the search for a line's end has come, so that no byte is looked at twice.
struct LineSearch {
    private let limit: Int
    private var searched = 0

    init(limit: Int) { self.limit = limit }

    /// Whether no line within the limit can come of what there is.
    private(set) var isOver = false

    /// The length of the first line, its end included, if it is whole and not too long.
    mutating func length(in held: ArraySlice<UInt8>) -> Int? {
        let end = held.dropFirst(searched).firstIndex(of: UInt8(ascii: "\n"))
        isOver = isTooLong(held[..<(end ?? held.endIndex)])
        searched = held.count
        return isOver ? nil : end.map { $0 - held.startIndex + 1 }
    }

    /// Whether these bytes cannot be a line, or the beginning of one, within the limit. A CR may be part of its end.
    private func isTooLong(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.count - (bytes.last == UInt8(ascii: "\r") ? 1 : 0) > limit
    }

    /// A line with the bytes of its end; or what there is, when the peer has finished or it is too long.
    enum Found {
        case line([UInt8])
        case last([UInt8])
        case tooLong
    }

    static func outcome(_ found: Found) -> Trace.Outcome {
        switch found {
        case .line(let bytes): .came(bytes.count)
        case .last(let bytes): bytes.isEmpty ? .finished : .came(bytes.count)
        case .tooLong: .done
        }
    }
}
