internal import SocketCore
internal import Sockets
internal import struct SystemPackage.Errno

/// The exit codes of the contract.
struct ExitStatus: Error, RawRepresentable, Equatable {
    let rawValue: Int32

    static let done = ExitStatus(rawValue: 0)
    static let failed = ExitStatus(rawValue: 1)
    static let usage = ExitStatus(rawValue: 2)
    static let timedOut = ExitStatus(rawValue: 3)

    /// Ended by a signal: the process ends by that signal itself. A shell reports 128 and its number.
    static func signal(_ number: Int32) -> ExitStatus { ExitStatus(rawValue: 128 + number) }

    /// The signal that ends the process; nil for an ordinary exit.
    var signal: Int32? { rawValue > 128 ? rawValue - 128 : nil }
}

/// Why the command ends: one sentence that says what to do, and the exit code.
struct Failure: Error {
    let status: ExitStatus
    /// Nil where nobody is left to tell, as when the reader of standard output has gone away.
    let sentence: String?
    /// The library's error, where it is one.
    let error: SocketError?

    init(_ status: ExitStatus, _ sentence: String?, _ error: SocketError? = nil) {
        self.status = status
        self.sentence = sentence
        self.error = error
    }

    init(_ error: SocketError) {
        // Standard output, where it is joined to something.
        if error.operation == .write, error.target == "-", case .system(let errno) = error.cause {
            self.init(output: errno)
            return
        }
        let status: ExitStatus =
            switch error.cause {
            case .endpoint: .usage
            // The kernel's word for a peer that answers nothing any more.
            case .timedOut, .system(.timedOut): .timedOut
            default: .failed
            }
        self.init(status, error.said + (error.advice.map { text("; ", "；") + $0 } ?? ""), error)
    }

    /// Standard output cannot be written to. Its reader's going away is nothing to speak of: `pier … | head -1`.
    init(output error: Errno) {
        self.init(
            .failed,
            error == .brokenPipe
                ? nil
                : text(
                    "standard output: \(error.sentence); what was received could not be written: make room, or write elsewhere",
                    "标准输出：\(error.said)；收到的内容写不出去：请腾出空间，或者写到别处")
        )
    }

    func tell() {
        // A reader of standard error that reads no more must not keep the process from ending.
        if let sentence, Standard.hasRoom(2, within: .seconds(1)) { Standard.write("pier: \(sentence)\n", to: 2) }
    }
}
