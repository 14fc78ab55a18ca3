internal import SocketCore
internal import Sockets
internal import Synchronization

// What is told of one connection, and how much of it is in the totals.

extension Report {
    /// The number of a new connection, counted from 1; the totals count those of clients.
    func number(isClient: Bool) -> Int {
        if isClient { clients.add(1, ordering: .relaxed) }
        return connections.add(1, ordering: .relaxed).newValue
    }

    /// Adds to the totals what went by without being told.
    func count(received: Relay.Flow, sent: Relay.Flow) {
        self.received.add(Int(clamping: received.bytes), ordering: .relaxed)
        messages.add(Int(clamping: received.messages), ordering: .relaxed)
        self.sent.add(Int(clamping: sent.bytes), ordering: .relaxed)
    }

    /// Adds to the totals what datagrams went by without being told.
    func count(received: DatagramRelay.Flow, sent: DatagramRelay.Flow) {
        self.received.add(Int(clamping: received.received), ordering: .relaxed)
        messages.add(Int(clamping: received.messages), ordering: .relaxed)
        self.sent.add(Int(clamping: sent.bytes), ordering: .relaxed)
    }

    /// Adds a datagram to the totals that is not told by itself.
    func count(collected bytes: Int) {
        received.add(bytes, ordering: .relaxed)
        messages.add(1, ordering: .relaxed)
    }

    func accepted(_ who: Account, on endpoint: String) {
        let members = who.members + [("endpoint", .string(endpoint))]
        tellMore(text("\(who.name) accepted on \(endpoint)", "\(endpoint) 接受了 \(who.name)"), "accepted", members)
    }

    func connected(_ who: Account, from local: String?, after time: Duration) {
        let source = local.map { text(" from \($0)", "，本端是 \($0)") } ?? ""
        var members = who.members
        if let local { members.append(("local", .string(local))) }
        tellMore(
            text(
                "connected to \(who.name)\(source), after \(time.inSeconds) s",
                "已连接到 \(who.name)\(source)，用了 \(time.inSeconds) 秒"),
            "connected", members + [("seconds", .seconds(time.clampedNanoseconds))])
    }

    func received(_ who: Account, _ count: Int) {
        received.add(count, ordering: .relaxed)
        messages.add(1, ordering: .relaxed)
        if form == .json { event("received", who.members + [("bytes", .integer(count))], matters: false) }
    }

    func sent(_ who: Account, _ count: Int) {
        sent.add(count, ordering: .relaxed)
        if form == .json { event("sent", who.members + [("bytes", .integer(count))], matters: false) }
    }

    func finished(_ who: Account, by side: String) {
        if form == .json { event("finished", who.members + [("by", .string(side))]) }
    }

    /// A reset is no end: how much went each way says what may be missing.
    func reset(_ who: Account) {
        tellMore(text("\(who.name) reset the connection", "\(who.name) 重置了连接"), "reset", who.members + who.counts)
    }

    /// What ended one connection, and not the command.
    func failed(_ who: Account, _ error: SocketError) {
        errors.add(1, ordering: .relaxed)
        guard !error.isReset else { return reset(who) }
        tellMore("\(who.name): \(error.said)", "error", who.members + members(error, error.said))
    }

    func closed(_ who: Account, _ program: ChildProcess.ExitStatus?, isCut: Bool = false, after time: Duration) {
        var members = who.members + who.counts
        members += [("messages", .integer(who.messages)), ("seconds", .seconds(time.clampedNanoseconds))]
        switch program {
        case .exited(let code): members.append(("status", .integer(Int(code))))
        case .signalled(let number): members.append(("signal", .integer(Int(number))))
        case .unknown, nil: break
        }
        if isCut { members.append(("cut", .string("signal"))) }
        if who.lost > 0 { members.append(("dropped", .integer(who.lost))) }
        let lost = who.lost == 0 ? "" : text(", \(who.lost) datagrams lost", "，丢失 \(who.lost) 个数据报")
        tellMore(
            text(
                "\(who.name) closed: \(who.received) bytes received in \(who.messages) messages, \(who.sent) sent, in \(time.inSeconds) s\(program.map { ", ended \($0.said)" } ?? "")",
                "\(who.name) 已关闭：收到 \(who.messages) 条信息共 \(who.received) 字节，发送 \(who.sent) 字节，历时 \(time.inSeconds) 秒\(program.map { "，结束时是 \($0.said)" } ?? "")"
            ) + lost,
            "closed", members)
    }
}
