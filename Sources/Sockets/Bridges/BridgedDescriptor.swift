internal import SocketCore
internal import SystemPackage

/// One end of a bridge that is no socket. Both directions may share it, and the last to leave it closes it.
final class BridgedDescriptor: Sendable {
    let rawValue: CInt
    /// A file takes any number of bytes at once; a pipe or a terminal that blocks may take a part and then wait.
    let isFile: Bool
    /// Whether it is to be closed: the standard streams are the process's own.
    private let isOurs: Bool
    private let users: Lock<Int>
    private let isGivenUp = Lock(false)

    init(_ rawValue: CInt, isFile: Bool, isOurs: Bool, users: Int = 1) {
        self.rawValue = rawValue
        self.isFile = isFile
        self.isOurs = isOurs
        self.users = Lock(users)
    }

    /// When the last direction has ended, what is the process's own is closed too; its number stays taken.
    func giveUp() { isGivenUp.withLock { $0 = true } }

    /// A direction has ended.
    func leave() {
        let isLast = users.withLock { users in
            users -= 1
            return users == 0
        }
        guard isLast else { return }
        if isOurs {
            _ = Descriptor(owning: rawValue)
        } else if isGivenUp.withLock({ $0 }) {
            try? System.endOutput(rawValue)
        }
    }
}
