internal import CSockets
package import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// Descriptors that are no sockets, such as files, pipes and terminals; and paths.

extension System {
    /// What is done with a file that is opened.
    package enum FileUse: Sendable {
        case reading
        /// It is made, or emptied.
        case writing
        /// It is made if need be, and every write goes to its end.
        case appending
    }

    /// Opens a file for one direction. It never waits: a FIFO that nobody reads cannot be opened for writing. What is made
    /// gets the mode 0666, less the umask.
    package static func open(_ path: Endpoint.Path, for use: FileUse) throws(Errno) -> Descriptor {
        let flags =
            switch use {
            case .reading: O_RDONLY
            case .writing: O_WRONLY | O_CREAT | O_TRUNC
            case .appending: O_WRONLY | O_CREAT | O_APPEND
            }
        return try opening(.open) {
            path.withPath { Glibc.open($0, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0o666) }
        }
    }

    /// A second descriptor to read a terminal by, which does not block; nil where the descriptor is no terminal, or may not be
    /// opened again.
    ///
    /// poll(2) can call a terminal readable although a read then waits: another process may read first, and a job that
    /// SIGTTIN stops in read(2) resumes there. No other thread can end a thread that blocks in read(2). The descriptor of the
    /// caller keeps its mode, because other processes share it.
    package static func reopenedTerminal(_ descriptor: CInt, isCounted: Bool = true) -> Descriptor? {
        guard isatty(descriptor) == 1, let original = try? device(of: descriptor), original != multiplexer else {
            return nil
        }
        let flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
        do throws(Errno) {
            let terminal = try opening(.open, isCounted: isCounted) {
                Glibc.open("/proc/self/fd/\(descriptor)", flags)
            }
            guard try device(of: terminal.rawValue) == original else { return nil }
            return terminal
        } catch {
            return nil
        }
    }

    /// Number 2 of the devices with number 5, `/dev/ptmx`: each time that it is opened there is a new terminal.
    private static let multiplexer = dev_t(5 << 8 | 2)

    private static func device(of descriptor: CInt) throws(Errno) -> dev_t {
        var found = stat()
        _ = try result(.fstat, descriptor) { fstat(descriptor, &found) }
        return found.st_rdev
    }

    /// Closes what a number stands for, but not the number: it is `/dev/null` from now on, so that nothing else gets it.
    package static func replaceByNull(_ descriptor: CInt) throws(Errno) {
        let null = try opening(.open) { Glibc.open("/dev/null", O_RDWR | O_CLOEXEC) }
        _ = try result(.dup, descriptor) { dup2(null.rawValue, descriptor) }
    }

    /// Ends an output of the process so that its reader finds the end. Its number stays taken.
    ///
    /// A super-server passes one socket as standard input and output. Closing the output's number leaves that socket open, so
    /// its sending direction is shut down.
    package static func endOutput(_ descriptor: CInt) throws(Errno) {
        var (input, output) = (stat(), stat())
        if fstat(0, &input) == 0, fstat(descriptor, &output) == 0, output.st_mode & S_IFMT == S_IFSOCK,
            input.st_dev == output.st_dev, input.st_ino == output.st_ino
        {
            try? shutdown(descriptor, how: CInt(SHUT_WR))
        }
        try replaceByNull(descriptor)
    }

    /// How many bytes can be read now, of a file until its end; taking none of them (`FIONREAD`). Throws for a device that
    /// cannot say.
    package static func readableBytes(_ descriptor: CInt) throws(Errno) -> Int {
        var value: CInt = 0
        _ = try result(.ioctl, descriptor) { csockets_ioctl_int(descriptor, csockets_FIONREAD, &value) }
        return Int(value)
    }

    /// How many bytes of a descriptor that poll(2) calls readable are left, taking none of them: of a file until its end, of
    /// a pipe or a terminal what is in it now. A device that cannot say, and gives a byte, counts as one; so `/dev/null`
    /// has none.
    package static func bytesLeft(_ descriptor: CInt) -> Int {
        var found = stat()
        // The answer of FIONREAD has 32 bits, and a file may be larger.
        if fstat(descriptor, &found) == 0, found.st_mode & S_IFMT == S_IFREG {
            let position = lseek(descriptor, 0, SEEK_CUR)
            if position >= 0 { return max(0, Int(clamping: found.st_size) - Int(clamping: position)) }
        }
        do throws(Errno) { return max(0, try readableBytes(descriptor)) } catch {
            guard error == .inappropriateIOCTLForDevice else { return 0 }
            return withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { buffer in
                guard case .done(let count)? = try? read(descriptor, into: buffer) else { return 0 }
                return count
            }
        }
    }

    /// What a descriptor stands for, and what it was opened for.
    package struct DescriptorUse: Sendable {
        package let isFile: Bool
        package let isDirectory: Bool
        package let isSocket: Bool
        package let reads: Bool
        package let writes: Bool
    }

    package static func use(of descriptor: CInt) throws(Errno) -> DescriptorUse {
        var found = stat()
        _ = try result(.fstat, descriptor) { fstat(descriptor, &found) }
        let access = try result(.fcntl, descriptor) { fcntl(descriptor, F_GETFL) } & O_ACCMODE
        let kind = found.st_mode & S_IFMT
        return DescriptorUse(
            isFile: kind == S_IFREG || kind == S_IFBLK, isDirectory: kind == S_IFDIR, isSocket: kind == S_IFSOCK,
            reads: access != O_WRONLY, writes: access != O_RDONLY)
    }

    // MARK: The paths of Unix sockets

    /// On a socket before bind(2): the path is then made with this mode, less the umask, from its first moment.
    package static func setMode(_ descriptor: CInt, _ mode: UInt32) throws(Errno) {
        _ = try result(.fchmod, descriptor) { fchmod(descriptor, mode) }
    }

    /// A path is bytes: as text it could name another file.
    package static func unlink(_ path: UnixAddress) throws(Errno) {
        _ = try result(.unlink, -1) { path.withPath { Glibc.unlink($0) } }
    }

    /// Who is at a path, or where a link there leads.
    package static func status(_ path: UnixAddress, followsLinks: Bool = false) throws(Errno) -> FileStatus {
        var found = stat()
        _ = try result(.stat, -1) { path.withPath { followsLinks ? stat($0, &found) : lstat($0, &found) } }
        return FileStatus(
            device: UInt64(found.st_dev), inode: UInt64(found.st_ino), owner: found.st_uid,
            isSocket: found.st_mode & S_IFMT == S_IFSOCK, isDirectory: found.st_mode & S_IFMT == S_IFDIR,
            isOpenToAll: found.st_mode & S_IWOTH != 0 && found.st_mode & S_ISVTX == 0)
    }

    /// What tells one file from another, and a socket of ours from anything else.
    package struct FileStatus: Equatable, Sendable {
        package let device: UInt64
        package let inode: UInt64
        package let owner: UInt32
        package let isSocket: Bool
        package let isDirectory: Bool
        /// Whether everybody may write to it; in a directory, put other files in the place of those that are there.
        package let isOpenToAll: Bool
    }
}
