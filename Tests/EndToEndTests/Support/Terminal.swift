#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Whether a terminal gives what is typed line by line.
func takesLines(_ descriptor: CInt) -> Bool {
    var settings = termios()
    return tcgetattr(descriptor, &settings) == 0 && settings.c_lflag & tcflag_t(ICANON) != 0
}

/// A pseudoterminal: what a person types and sees.
final class Terminal: Sendable {
    /// The side that a program gets.
    let program: CInt
    private let person: CInt

    init() throws {
        person = try valid(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC))
        // unlockpt(3) and ptsname(3), which are not everywhere declared.
        var (lock, number): (CInt, CInt) = (0, 0)
        _ = try valid(ioctl(person, 0x4004_5431, &lock))
        _ = try valid(ioctl(person, 0x8004_5430, &number))
        program = try valid(open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC))
        // As typed, without the terminal's own echo and without a CR before each LF.
        var settings = termios()
        tcgetattr(program, &settings)
        settings.c_lflag &= ~tcflag_t(ECHO)
        settings.c_oflag &= ~tcflag_t(OPOST)
        tcsetattr(program, TCSANOW, &settings)
    }

    deinit {
        close(program)
        close(person)
    }

    /// Gathers what a program writes from now on.
    func gather() -> Gathering { Gathering(fcntl(person, F_DUPFD_CLOEXEC, 3)) }

    func type(_ text: String) {
        let bytes = Array(text.utf8)
        write(person, bytes, bytes.count)
    }

    /// What Control-D types: the end of the input.
    func typeEnd() { type("\u{4}") }
}
