package import CSockets
#if canImport(Glibc)
    package import Glibc
#elseif canImport(Musl)
    package import Musl
#endif
package import SystemPackage

// Every system call that Pier makes is in this file and in System+TOPIC.swift beside it, one function a call, each through
// the seam (Seam.swift).
//
// A function here never waits, keeps no state and has no policy. EINTR is retried in `result`, and nowhere else, but for
// the three calls whose answer to it differs: connect (it goes on by itself), close (the descriptor is gone), and poll
// and epoll_wait (the deadline must be looked at again).

/// The system calls, as Swift functions that throw `Errno`.
package enum System {
    /// Makes `call`, again while a signal interrupts it, and gives its result or throws what errno says.
    static func result(
        _ call: SystemCall, _ descriptor: CInt, _ body: () -> CInt
    ) throws(Errno) -> CInt {
        while true {
            if case .fail(let errno) = Interposer.verdict(call, descriptor) {
                if errno == .interrupted { continue }
                throw errno
            }
            let result = body()
            if result >= 0 { return result }
            let error = Errno(rawValue: errno)
            if error != .interrupted { throw error }
        }
    }

    /// The same for a call that makes a descriptor, so that a ledger can count it.
    static func opening(
        _ call: SystemCall, isCounted: Bool = true, _ body: () -> CInt
    ) throws(Errno) -> Descriptor {
        let raw = try result(call, -1, body)
        if isCounted { Interposer.tellOpened(raw) }
        return Descriptor(owning: raw)
    }

    /// The same for a call that moves bytes: would-block is a value, and a test may shorten it.
    static func transfer(
        _ call: SystemCall, _ descriptor: CInt, _ direction: Direction, count: Int, _ body: (Int) -> Int
    ) throws(Errno) -> Attempt<Int> {
        while true {
            var limit = count
            switch Interposer.verdict(call, descriptor) {
            case .pass: break
            case .shorten(let most): limit = min(count, max(most, 1))
            case .fail(let errno):
                if errno == .interrupted { continue }
                if errno == .wouldBlock { return .wait(direction) }
                throw errno
            }
            let moved = body(limit)
            if moved >= 0 { return .done(moved) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wait(direction)
            case let other: throw Errno(rawValue: other)
            }
        }
    }

    // MARK: Making a socket

    package static func socket(
        family: CInt, kind: CInt = kindStream, proto: CInt = 0
    ) throws(Errno) -> Descriptor {
        try opening(.socket) { Glibc.socket(family, kind | flagNonBlocking | flagCloseOnExec, proto) }
    }

    package static func socketPair(family: CInt, kind: CInt) throws(Errno) -> (CInt, CInt) {
        var pair: (CInt, CInt) = (-1, -1)
        _ = try result(.socketpair, -1) {
            withUnsafeMutableBytes(of: &pair) { bytes in
                Glibc.socketpair(
                    family, kind | flagNonBlocking | flagCloseOnExec, 0,
                    bytes.baseAddress?.assumingMemoryBound(to: CInt.self))
            }
        }
        Interposer.tellOpened(pair.0)
        Interposer.tellOpened(pair.1)
        return pair
    }

    package static func bind(_ descriptor: CInt, to address: SocketAddress) throws(Errno) {
        _ = try result(.bind, descriptor) { address.withSockAddr { Glibc.bind(descriptor, $0, $1) } }
    }

    package static func listen(_ descriptor: CInt, backlog: CInt) throws(Errno) {
        _ = try result(.listen, descriptor) { Glibc.listen(descriptor, backlog) }
    }

    /// The peer's socket and address, or the word to wait.
    package static func accept(_ descriptor: CInt) throws(Errno) -> Attempt<Accepted> {
        while true {
            if case .fail(let errno) = Interposer.verdict(.accept, descriptor) {
                if errno == .interrupted { continue }
                if errno == .wouldBlock { return .wait(.receive) }
                throw errno
            }
            var raw: CInt = -1
            let peer = SocketAddress.filled {
                raw = csockets_accept(descriptor, $0, $1); return raw
            }
            if raw >= 0 {
                Interposer.tellOpened(raw)
                return .done(Accepted(rawValue: raw, peer: peer ?? .unnamed))
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wait(.receive)
            case let other: throw Errno(rawValue: other)
            }
        }
    }

    /// What accept(2) gave: a descriptor that its receiver must own, and whose it is.
    package struct Accepted {
        package let rawValue: CInt
        package let peer: SocketAddress
    }

    /// Begins to connect: done, or wait until the socket can be written to and ask for the pending error.
    ///
    /// An interrupted connect(2) goes on by itself; calling it again would give EALREADY.
    package static func connect(_ descriptor: CInt, to address: SocketAddress) throws(Errno) -> Attempt<Void> {
        if case .fail(let errno) = Interposer.verdict(.connect, descriptor) {
            if errno == .interrupted {
                // As in the kernel: the attempt was begun, only the call was cut short.
                _ = address.withSockAddr { Glibc.connect(descriptor, $0, $1) }
                return .wait(.send)
            }
            throw errno
        }
        if address.withSockAddr({ Glibc.connect(descriptor, $0, $1) }) == 0 { return .done(()) }
        switch errno {
        case EINPROGRESS, EINTR: return .wait(.send)
        case let other: throw Errno(rawValue: other)
        }
    }

    /// Dissolves a connection at once, also where another process still has the socket (`AF_UNSPEC` in connect(2)).
    package static func dissolve(_ descriptor: CInt) {
        var nobody = sockaddr()
        nobody.sa_family = sa_family_t(AF_UNSPEC)
        _ = Glibc.connect(descriptor, &nobody, socklen_t(MemoryLayout<sockaddr>.size))
    }

    // MARK: Bytes

    package static func receive(
        _ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer, flags: CInt = 0
    ) throws(Errno) -> Attempt<Int> {
        try transfer(.receive, descriptor, .receive, count: buffer.count) {
            recv(descriptor, buffer.baseAddress, $0, flags)
        }
    }

    /// MSG_NOSIGNAL always: a peer that went away is an error of this call, never a signal to the process.
    package static func send(
        _ descriptor: CInt, _ bytes: UnsafeRawBufferPointer, flags: CInt = 0
    ) throws(Errno) -> Attempt<Int> {
        try transfer(.send, descriptor, .send, count: bytes.count) {
            Glibc.send(descriptor, bytes.baseAddress, $0, flags | flagNoSignal)
        }
    }

    package static func read(
        _ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer
    ) throws(Errno) -> Attempt<Int> {
        try transfer(.read, descriptor, .receive, count: buffer.count) {
            Glibc.read(descriptor, buffer.baseAddress, $0)
        }
    }

    package static func write(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) throws(Errno) -> Attempt<Int> {
        try transfer(.write, descriptor, .send, count: bytes.count) {
            Glibc.write(descriptor, bytes.baseAddress, $0)
        }
    }

    // MARK: Ending

    /// `how` is SHUT_RD, SHUT_WR or SHUT_RDWR.
    package static func shutdown(_ descriptor: CInt, how: CInt) throws(Errno) {
        _ = try result(.shutdown, descriptor) { Glibc.shutdown(descriptor, how) }
    }

    /// Never retried: on Linux the descriptor is gone whatever close(2) says.
    static func close(_ descriptor: CInt) {
        _ = Interposer.verdict(.close, descriptor)
        // Told first: once closed, the number may be another thread's at once.
        Interposer.tellClosed(descriptor)
        _ = Glibc.close(descriptor)
    }

    // MARK: Asking and setting

    package static func localAddress(_ descriptor: CInt) throws(Errno) -> SocketAddress {
        try address(.getsockname, descriptor) { getsockname(descriptor, $0, $1) }
    }

    package static func remoteAddress(_ descriptor: CInt) throws(Errno) -> SocketAddress {
        try address(.getpeername, descriptor) { getpeername(descriptor, $0, $1) }
    }

    private static func address(
        _ call: SystemCall, _ descriptor: CInt,
        _ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> CInt
    ) throws(Errno) -> SocketAddress {
        var found: SocketAddress?
        _ = try result(call, descriptor) {
            var code: CInt = -1
            found = SocketAddress.filled {
                code = body($0, $1); return code
            }
            return code
        }
        return found ?? .unnamed
    }

    package static func getOption(
        _ descriptor: CInt, _ level: CInt, _ name: CInt, _ bytes: UnsafeMutableRawBufferPointer
    ) throws(Errno) -> Int {
        var length = socklen_t(bytes.count)
        _ = try result(.getsockopt, descriptor) { getsockopt(descriptor, level, name, bytes.baseAddress, &length) }
        return Int(length)
    }

    package static func setOption(
        _ descriptor: CInt, _ level: CInt, _ name: CInt, _ bytes: UnsafeRawBufferPointer
    ) throws(Errno) {
        _ = try result(.setsockopt, descriptor) {
            setsockopt(descriptor, level, name, bytes.baseAddress, socklen_t(bytes.count))
        }
    }

    /// Whether nothing can be received or sent any more.
    package static func isHungUp(_ descriptor: CInt) -> Bool {
        var entries = [pollfd(fd: descriptor, events: 0, revents: 0)]
        return ((try? poll(&entries, milliseconds: 0)) ?? 0) > 0
    }

    /// Has a stream socket drop what is under way when it is closed, and tell the peer that (SO_LINGER).
    package static func resetAtClose(_ descriptor: CInt, _ isWanted: Bool = true) throws(Errno) {
        var rule = linger(l_onoff: isWanted ? 1 : 0, l_linger: 0)
        try withUnsafeBytes(of: &rule) { (bytes) throws(Errno) in
            try setOption(descriptor, SOL_SOCKET, SO_LINGER, bytes)
        }
    }

    /// Resets a TCP connection of this process now, if nothing has ended its sending direction yet (`connect(2)` with
    /// `AF_UNSPEC`). The number stays open, and nothing that is done with it later can send an end.
    ///
    /// Leaves alone whatever else a number stands for: also a socket that this process was started with and has not taken
    /// over. Those that it makes or takes over are close-on-exec, and others cannot be.
    package static func resetIfOurs(_ descriptor: CInt) {
        guard (try? result(.fcntl, descriptor, { csockets_is_close_on_exec(descriptor) })) == 1,
            let info = try? tcpInfo(descriptor), info.is_sending != 0
        else { return }
        try? resetAtClose(descriptor)
        var nowhere = sockaddr()
        nowhere.sa_family = sa_family_t(AF_UNSPEC)
        _ = try? result(.connect, descriptor) {
            Glibc.connect(descriptor, &nowhere, socklen_t(MemoryLayout<sockaddr>.size))
        }
    }

    package static func tcpInfo(_ descriptor: CInt) throws(Errno) -> csockets_tcp_info {
        var info = csockets_tcp_info()
        _ = try result(.getsockopt, descriptor) { csockets_tcp_info(descriptor, &info) }
        return info
    }

    /// Process, user and group of a Unix peer (SO_PEERCRED).
    package static func peerCredentials(_ descriptor: CInt) throws(Errno) -> (Int32, UInt32, UInt32) {
        var found: (Int32, UInt32, UInt32) = (0, 0, 0)
        _ = try result(.getsockopt, descriptor) {
            csockets_peer_credentials(descriptor, &found.0, &found.1, &found.2)
        }
        return found
    }

    /// How many sent bytes the peer has not acknowledged (TCP) or not read (Unix): SIOCOUTQ.
    package static func unsentBytes(_ descriptor: CInt) throws(Errno) -> Int {
        var value: CInt = 0
        _ = try result(.ioctl, descriptor) { csockets_ioctl_int(descriptor, csockets_SIOCOUTQ, &value) }
        return Int(value)
    }

    package static func makeNonBlocking(_ descriptor: CInt) throws(Errno) {
        _ = try result(.fcntl, descriptor) { csockets_set_nonblocking(descriptor) }
    }

    package static func makeCloseOnExec(_ descriptor: CInt) throws(Errno) {
        _ = try result(.fcntl, descriptor) { csockets_set_close_on_exec(descriptor) }
    }

    // MARK: Threads and the clock

    /// Up to 15 bytes, for the calling thread (pthread_setname_np(3)).
    package static func nameThread(_ name: String) { csockets_name_thread(name) }

    /// Has the calling thread take the processor from nobody when it wakes (`SCHED_BATCH`, sched(7)).
    package static func letWakersFinish() { csockets_let_wakers_finish() }

    /// Blocks the calling thread for so long (poll(2)).
    package static func pause(milliseconds: CInt) { _ = Glibc.poll(nil, 0, milliseconds) }

    /// Gives the memory that the allocator keeps back to the system (malloc_trim(3)).
    package static func giveBackMemory() { csockets_give_back_memory() }

    /// Lets another thread have the processor (sched_yield(2)).
    package static func letOthersRun() { _ = sched_yield() }

    package static var effectiveUser: UInt32 { geteuid() }

    // MARK: Waiting (for the layers above to use: nothing in this one waits)

    /// poll(2): how many are ready, or nil when a signal came first. A negative timeout waits without end.
    package static func poll(_ entries: inout [pollfd], milliseconds: CInt) throws(Errno) -> Int? {
        if case .fail(let errno) = Interposer.verdict(.poll, entries.first?.fd ?? -1) {
            if errno == .interrupted { return nil }
            throw errno
        }
        let ready = Glibc.poll(&entries, nfds_t(entries.count), milliseconds)
        if ready >= 0 { return Int(ready) }
        if errno == EINTR { return nil }
        throw Errno(rawValue: errno)
    }

    package static func epollCreate(isCounted: Bool) throws(Errno) -> Descriptor {
        try opening(.epollCreate, isCounted: isCounted) { epoll_create1(csockets_EPOLL_CLOEXEC) }
    }

    package static func epollAdd(
        _ poller: CInt, _ descriptor: CInt, events: UInt32, tag: UInt64
    ) throws(Errno) {
        var event = epoll_event(events: events, data: epoll_data_t(u64: tag))
        _ = try result(.epollControl, descriptor) { epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) }
    }

    package static func epollRemove(_ poller: CInt, _ descriptor: CInt) {
        var event = epoll_event()
        _ = epoll_ctl(poller, EPOLL_CTL_DEL, descriptor, &event)
    }

    /// epoll_wait(2): how many events were written; none when a signal came first.
    package static func epollWait(
        _ poller: CInt, _ events: UnsafeMutableBufferPointer<epoll_event>, milliseconds: CInt,
        interposer: Interposer?
    ) throws(Errno) -> Int {
        if let interposer, case .fail(let errno) = interposer.decide(.epollWait, poller) {
            if errno == .interrupted { return 0 }
            throw errno
        }
        let ready = epoll_wait(poller, events.baseAddress, CInt(events.count), milliseconds)
        if ready >= 0 { return Int(ready) }
        if errno == EINTR { return 0 }
        throw Errno(rawValue: errno)
    }

    package static func eventCounter(isCounted: Bool) throws(Errno) -> Descriptor {
        try opening(.eventfd, isCounted: isCounted) { csockets_eventfd() }
    }

    /// Nanoseconds of CLOCK_MONOTONIC.
    package static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    /// A moment not before now, and at most two ticks of the kernel's clock (some milliseconds) after it: what a wait that may
    /// last so long is counted from. The kernel keeps it up to date, so it costs a fifth of `now`, which reads a counter.
    package static var atLeastNow: UInt64 {
        var time = timespec()
        clock_gettime(clockid_t(CLOCK_MONOTONIC_COARSE), &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec) &+ coarseTick
    }

    private static let coarseTick: UInt64 = {
        var tick = timespec()
        clock_getres(clockid_t(CLOCK_MONOTONIC_COARSE), &tick)
        // Two: where the machine has other work, the kernel's next tick may come late.
        return 2 &* (UInt64(tick.tv_sec) &* 1_000_000_000 &+ UInt64(tick.tv_nsec))
    }()

    // MARK: Constants that the C headers give other types on other systems

    package static let kindStream = CInt(SOCK_STREAM.rawValue)
    package static let kindDatagram = CInt(SOCK_DGRAM.rawValue)
    private static let flagNonBlocking = CInt(SOCK_NONBLOCK.rawValue)
    private static let flagCloseOnExec = CInt(SOCK_CLOEXEC.rawValue)
    private static let flagNoSignal = CInt(MSG_NOSIGNAL)
}
