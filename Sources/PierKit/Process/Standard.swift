internal import Loops
internal import SocketCore
internal import struct SystemPackage.Errno
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The process as its parent made it: standard streams, signals and limits.
enum Standard {
    /// Makes the process fit to run: to be called first, before there are threads.
    static func prepare() {
        fillClosedStreams()
        // A peer or a reader that has gone away is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        // Ignored, as some parents leave it, the system would not say how a program ended.
        signal(SIGCHLD, SIG_DFL)
        raiseDescriptorLimit()
    }

    /// Started with a standard stream closed, the first socket would take its number and become it. So each gets /dev/null,
    /// opened for reading: what is written to a closed output fails, as it must.
    private static func fillClosedStreams() {
        for stream in CInt(0)...2 where fcntl(stream, F_GETFD) == -1 {
            let filler = open("/dev/null", O_RDONLY)
            if filler >= 0, filler != stream {
                dup2(filler, stream)
                close(filler)
            }
        }
    }

    /// The soft limit is for programs that use select(2), which this one does not.
    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// How many descriptors are open now, those among them that whoever started the process left in it.
    static var openDescriptors: Int {
        guard let folder = opendir("/proc/self/fd") else { return 3 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // Not the two that stand for folders, nor the one that this was read by.
        return max(3, count - 3)
    }

    /// Ends the process, now. After a signal it ends by that signal, so that the parent sees WIFSIGNALED: a shell's loop
    /// then stops too. Process 1 cannot end so, and exits with 128 and the signal's number.
    static func end(_ status: ExitStatus) -> Never {
        if let signal = status.signal { System.end(by: signal) }
        exit(status.rawValue)
    }

    static func isTerminal(_ stream: CInt) -> Bool { isatty(stream) == 1 }

    /// How many columns the user's terminal has; 80 where there is none.
    static var columns: Int {
        if let said = getenv("COLUMNS"), let columns = Int(String(cString: said)), columns > 0 { return columns }
        var size = winsize()
        return ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    /// Whether a line can be written to a stream without waiting, now or soon.
    static func hasRoom(_ stream: CInt, within limit: Duration) -> Bool {
        var entries = [pollfd(fd: stream, events: CShort(POLLOUT), revents: 0)]
        let milliseconds = CInt(clamping: limit.clampedNanoseconds / 1_000_000)
        return ((try? System.poll(&entries, milliseconds: milliseconds)) ?? 0) > 0
    }

    /// Closes standard output, so that its reader finds the end though the process goes on. Its number stays taken.
    ///
    /// Throws where the system could not write what it had taken before (`close(2)`).
    static func closeOutput() throws(Errno) {
        // The last of two descriptors is closed by itself: dup2(2) would not tell an error of the close.
        let last = dup(1)
        // Without /dev/null the reader waits for the end of the process, and loses nothing.
        do throws(Errno) { try System.endOutput(1) } catch {
            if last >= 0 { close(last) }
            return
        }
        if last >= 0, close(last) != 0, errno != EINTR { throw Errno(rawValue: errno) }
    }

    /// Writes what the user asked to read to standard output; throws where it does not take all.
    static func answer(_ page: String) throws(Failure) {
        do throws(Errno) {
            try write(Array(page.utf8), to: 1)
        } catch {
            // A reader that went away needs no sentence: `pier --help | head -1`.
            let sentence = text(
                "standard output: \(error.sentence); make room, or write elsewhere", "标准输出：\(error.said)；请腾出空间，或者写到别处")
            throw Failure(.failed, error == .brokenPipe ? nil : sentence)
        }
    }

    /// Writes all of a text to a stream, waiting where it must; a failure is ignored.
    static func write(_ text: String, to stream: CInt) {
        try? write(Array(text.utf8), to: stream)
    }

    /// Writes all of the bytes to a stream, waiting where it must.
    static func write(_ bytes: [UInt8], to stream: CInt) throws(Errno) {
        var written = 0
        while written < bytes.count {
            let attempt = try bytes.span.bytes.withUnsafeBytes { (buffer) throws(Errno) in
                try System.write(stream, UnsafeRawBufferPointer(rebasing: buffer[written...]))
            }
            switch attempt {
            case .done(let count): written += count
            case .wait:
                // Somebody else made it non-blocking; that is left as it is.
                var entries = [pollfd(fd: stream, events: CShort(POLLOUT), revents: 0)]
                _ = try System.poll(&entries, milliseconds: -1)
            }
        }
    }
}
