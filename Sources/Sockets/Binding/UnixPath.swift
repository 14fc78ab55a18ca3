internal import SocketCore
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The file that a Unix listener makes by binding, and owes to remove.
///
/// The kernel leaves it behind when the socket is closed, and then refuses to bind to it again. So a listener removes its
/// own at the end, and takes over one that a killed listener left: only if it is a socket, belongs to this user, and nobody
/// answers there. In a directory that everybody may write to, without the sticky bit, it makes none. Between the look and
/// the removal another program may put its own there; it would have to be this user's.
struct UnixPath: Sendable {
    private let path: UnixAddress
    private let status: System.FileStatus

    /// Binds, with the mode 0600 from the first moment; nil for an abstract name, which is no file.
    static func bind(_ descriptor: CInt, to address: UnixAddress) throws(Errno) -> UnixPath? {
        guard address.kind == .path else {
            try System.bind(descriptor, to: .unix(address))
            return nil
        }
        // Where everybody may move files away, anybody can put a socket of his own in this one's place. The sticky bit, as
        // /tmp has it, forbids that.
        if let directory = address.directory, try System.status(directory).isOpenToAll { throw .notPermitted }
        // Linux makes the file with the socket's own mode, less the umask: no moment in between, as with chmod(2), and no
        // change of the umask for all threads.
        try System.setMode(descriptor, 0o600)
        do throws(Errno) {
            try System.bind(descriptor, to: .unix(address))
        } catch .addressInUse {
            guard let stale = try? System.status(address) else { throw .addressInUse }
            // "In use" would send its reader to look for another server.
            if stale.isDirectory { throw .isDirectory }
            guard stale.isSocket else { throw .notSocket }
            guard isStale(stale, address) else { throw .addressInUse }
            if (try? System.status(address)) == stale { try System.unlink(address) }
            try System.bind(descriptor, to: .unix(address))
        }
        do throws(Errno) {
            return UnixPath(path: address, status: try System.status(address))
        } catch {
            // It was made a moment ago, by the bind.
            try? System.unlink(address)
            throw error
        }
    }

    /// Whether a file is a socket of this user's that nobody listens on.
    private static func isStale(_ status: System.FileStatus, _ address: UnixAddress) -> Bool {
        guard status.isSocket, status.owner == System.effectiveUser else { return false }
        do throws(Errno) {
            let probe = try System.socket(family: AF_UNIX)
            _ = try System.connect(probe.rawValue, to: .unix(address))
            return false
        } catch {
            return error == .connectionRefused
        }
    }

    /// Removes the file, unless it is another's by now.
    func remove() {
        if (try? System.status(path)) == status { try? System.unlink(path) }
    }
}
