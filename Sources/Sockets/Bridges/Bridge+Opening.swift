public import SocketCore
internal import SystemPackage

/// What a file is opened for.
public enum FileAccess: String, Sendable, CaseIterable {
    /// What it holds is received, and then the end. Nothing can be sent.
    case read
    /// It is made, or emptied, and what is sent is written.
    case write
    /// It is made if it is not there, and what is sent is written to its end.
    case append
}

extension Bridge {
    /// Opens a file of any kind and joins it to a connection.
    ///
    /// For `.write` and `.append` nothing is received but the end, when all that was sent has been written. Each write
    /// of `.append` goes to the end, so that several connections may share a file.
    ///
    /// Never waits: of a FIFO nobody reads, opening to write fails. Throws `.system` as `open(2)` does.
    public convenience init(
        opening path: Endpoint.Path, for mode: FileAccess, duplex: Duplex = .full, trace: Trace? = nil
    ) throws(SocketError) {
        let name = "\(Endpoint(trusting: .file, .file(path)))"
        let opened: BridgedDescriptor
        do throws(Errno) {
            let file = try System.open(path, for: mode.use)
            let kind = try System.use(of: file.rawValue)
            if kind.isDirectory { throw Errno.isDirectory }
            opened = BridgedDescriptor(file.release(), isFile: kind.isFile, isOurs: true)
        } catch {
            throw SocketError(.open, .system(error), target: name)
        }
        do throws(SocketError) {
            try self.init(
                name, from: mode == .read ? opened : nil, to: mode == .read ? nil : opened, duplex: duplex, trace: trace
            )
        } catch {
            opened.leave()
            throw error
        }
    }

    /// Joins standard input and output to a connection. They stay open when it ends, and may be joined again.
    ///
    /// Never waits, and leaves their `O_NONBLOCK` as it is. Throws `.system` when the process has no descriptors or threads
    /// left.
    public convenience init(standardStreams duplex: Duplex = .full, trace: Trace? = nil) throws(SocketError) {
        let ends: [BridgedDescriptor]
        do throws(Errno) {
            ends = [
                BridgedDescriptor(0, isFile: try System.use(of: 0).isFile, isOurs: false),
                BridgedDescriptor(1, isFile: try System.use(of: 1).isFile, isOurs: false),
            ]
        } catch {
            throw SocketError(.open, .system(error), target: "-")
        }
        try self.init("-", from: ends[0], to: ends[1], duplex: duplex, trace: trace)
    }

    /// Joins standard output alone; standard input is left to whoever else reads it.
    package convenience init(standardOutput trace: Trace?) throws(SocketError) {
        let sink: BridgedDescriptor
        do throws(Errno) {
            sink = BridgedDescriptor(1, isFile: try System.use(of: 1).isFile, isOurs: false)
        } catch {
            throw SocketError(.open, .system(error), target: "-")
        }
        try self.init("-", from: nil, to: sink, duplex: .full, trace: trace)
    }

    /// Takes over a descriptor that is no socket, in the directions that it was opened for, and makes it close-on-exec. From
    /// then on it is this bridge's to close, unless this throws, or it is one of the three standard streams.
    ///
    /// Never waits, and leaves its `O_NONBLOCK` as it is. Throws `.system` when it is not open, or a directory.
    public convenience init(
        adopting descriptor: CInt, duplex: Duplex = .full, trace: Trace? = nil
    ) throws(SocketError) {
        try self.init(adopting: descriptor, onlyToWrite: false, duplex: duplex, trace: trace)
    }

    /// Takes over a descriptor that is no socket and was opened for writing; nothing is read from it.
    package convenience init(writingTo descriptor: CInt, trace: Trace?) throws(SocketError) {
        try self.init(adopting: descriptor, onlyToWrite: true, duplex: .full, trace: trace)
    }

    private convenience init(
        adopting descriptor: CInt, onlyToWrite: Bool, duplex: Duplex, trace: Trace?
    ) throws(SocketError) {
        let name = "fd:\(descriptor)"
        let kind: System.DescriptorUse
        let isStandard = (0...2).contains(descriptor)
        do throws(Errno) {
            kind = try System.use(of: descriptor)
            if kind.isDirectory { throw Errno.isDirectory }
            if !isStandard { try System.makeCloseOnExec(descriptor) }
        } catch {
            throw SocketError(.adopt, .system(error), target: name)
        }
        if onlyToWrite, !kind.writes {
            throw SocketError(.adopt, .misuse("nothing can be written to it"), target: name)
        }
        let reads = kind.reads && !onlyToWrite
        let end = BridgedDescriptor(
            descriptor, isFile: kind.isFile, isOurs: !isStandard, users: reads && kind.writes ? 2 : 1)
        try self.init(name, from: reads ? end : nil, to: kind.writes ? end : nil, duplex: duplex, trace: trace)
    }
}

extension FileAccess {
    fileprivate var use: System.FileUse {
        switch self {
        case .read: .reading
        case .write: .writing
        case .append: .appending
        }
    }
}
