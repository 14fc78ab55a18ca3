package import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// The paths of Unix sockets.

extension System {
    /// On a socket before bind(2): the path is then made with this mode, less the umask, from its first moment.
    package static func setMode(_ descriptor: CInt, _ mode: UInt32) throws(Errno) {
        _ = try result(.fchmod, descriptor) { fchmod(descriptor, mode) }
    }

    /// A path is bytes: as text it could name another file.
    package static func unlink(_ path: UnixAddress) throws(Errno) {
        _ = try result(.unlink, -1) { path.withPath { Glibc.unlink($0) } }
    }

    /// Who is at a path; a link is not followed.
    package static func status(_ path: UnixAddress) throws(Errno) -> FileStatus {
        var found = stat()
        _ = try result(.stat, -1) { path.withPath { lstat($0, &found) } }
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
