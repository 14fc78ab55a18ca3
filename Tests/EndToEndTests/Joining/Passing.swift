import TestSupport

/// Launchers that pass descriptors on to the command, as a shell, a service manager or inetd does.
enum Passing {
    /// A shell with a redirection, such as `3<file`.
    static func shell(_ redirection: String) -> [String] { ["sh", "-c", "exec \"$0\" \"$@\" \(redirection)"] }

    /// Sockets that lines of Python make, as descriptors from 3 on; `names` are those of a service manager.
    static func sockets(_ make: String..., names: [String]? = nil) -> [String] {
        let lines = make.enumerated().map { "sockets.append(\($1))" }
        let told =
            names.map { names in
                [
                    "os.environ['LISTEN_PID'] = str(os.getpid())", "os.environ['LISTEN_FDS'] = '\(names.count)'",
                    "os.environ['LISTEN_FDNAMES'] = '\(names.joined(separator: ":"))'",
                ]
            } ?? []
        let script =
            ["import os, socket, sys", "sockets = []"] + lines
            // Out of the way of the numbers that they are to have.
            + ["high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(sockets)]"]
            + ["for i, number in enumerate(high): os.dup2(number, 3 + i)", "os.closerange(100, 200)"] + told
            + ["os.execvp(sys.argv[1], sys.argv[1:])"]
        return ["python3", "-c", script.joined(separator: "\n")]
    }

    static let listening = "socket.create_server(('127.0.0.1', 0))"

    static func connected(to port: UInt16) -> String { "socket.create_connection(('127.0.0.1', \(port)))" }

    static func bound(_ path: String, _ kind: String = "SOCK_STREAM") -> String {
        "(lambda s: (s.bind('\(path)'), \(kind == "SOCK_STREAM" ? "s.listen()" : "0"), s)[2])"
            + "(socket.socket(socket.AF_UNIX, socket.\(kind)))"
    }

    static let datagrams =
        "(lambda s: (s.bind(('127.0.0.1', 0)), s)[1])(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))"

    static func datagrams(to port: UInt16) -> String {
        "(lambda s: (s.connect(('127.0.0.1', \(port))), s)[1])(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))"
    }
}
