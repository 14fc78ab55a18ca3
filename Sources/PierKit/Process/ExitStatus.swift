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

    /// Ended by a signal: 128 and its number, as a shell says.
    static func signal(_ number: Int32) -> ExitStatus { ExitStatus(rawValue: 128 + number) }
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
        let status: ExitStatus =
            switch error.cause {
            case .endpoint: .usage
            case .timedOut: .timedOut
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
                : "standard output: \(error.sentence); what was received could not be written: make room, or write elsewhere"
        )
    }

    func tell() {
        // A reader of standard error that reads no more must not keep the process from ending.
        if let sentence, Standard.hasRoom(2, within: .seconds(1)) { Standard.write("pier: \(sentence)\n", to: 2) }
    }
}

extension SocketError {
    /// What the user can do about it.
    fileprivate var advice: String? {
        let isUnix = (remote ?? local)?.port == nil
        switch (operation, cause) {
        case (.bind, .system(.addressInUse)), (.listen, .system(.addressInUse)):
            return isUnix
                ? "something else is at that path, or a server answers there: choose another path"
                : "another program listens there: choose another port, or port 0 for a free one"
        case (.bind, .system(.permissionDenied)):
            return isUnix
                ? "choose a path in a directory of yours"
                : "a port below 1024 is root's: choose a higher one"
        case (.bind, .system(.addressNotAvailable)):
            return "this machine has no such address: choose one of its own, or 127.0.0.1"
        case (.bind, .system(.noSuchFileOrDirectory)), (.bind, .system(.notDirectory)):
            return "the directory does not exist: make it first"
        case (.connect, .system(.connectionRefused)):
            return isUnix
                ? "a server was there and is gone: start it first"
                : "nothing listens there: check the port, or start the server first"
        case (.connect, .system(.noSuchFileOrDirectory)):
            return "no server has made this path: check it, or start the server first"
        case (.connect, .system(.permissionDenied)):
            return "the socket belongs to another user: ask for access, or connect as that user"
        case (.connect, .system(.networkUnreachable)), (.connect, .system(.noRouteToHost)):
            return "check the address and this machine's network"
        case (.connect, .timedOut), (.connect, .system(.timedOut)), (.resolve, .timedOut):
            return "check the address, or give it longer with --timeout"
        case (_, .system(.tooManyOpenFiles)), (_, .system(.tooManyOpenFilesInSystem)):
            return "raise the limit with ulimit -n, or lower --max-clients"
        default:
            return nil
        }
    }
}
