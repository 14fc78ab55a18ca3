internal import Loops
internal import SocketCore
internal import Sockets
internal import Synchronization

/// What the command tells of its work on standard error: in prose, or as events, one JSON object a line.
///
/// `Documentation/events.md` says what each event holds. Nothing here waits: when standard error is full, lines are dropped.
final class Report: Sendable {
    enum Form: Sendable {
        /// What must be told, in prose.
        case prose
        /// Clients and totals too.
        case verbose
        /// Everything, as JSON.
        case json
    }

    let form: Form
    let trace: Trace?
    private let sink: Sink
    private let clock = EventClock()
    private let connections = Atomic<Int>(0)
    private let clients = Atomic<Int>(0)
    private let received = Atomic<Int>(0)
    private let sent = Atomic<Int>(0)
    private let messages = Atomic<Int>(0)
    private let errors = Atomic<Int>(0)

    init(_ form: Form, isTraced: Bool) {
        self.form = form
        let clock = clock
        let sink = Sink(droppingTo: 2) { count in
            let words = text(
                "\(count) lines were dropped: nobody reads this stream fast enough, or it was full",
                "丢弃了 \(count) 行：没有人足够快地读取这个流，或者它满了")
            guard form == .json else { return "(\(words))" }
            return clock.line("warning", [("message", .string(words)), ("dropped", .integer(count))])
        }
        self.sink = sink
        trace =
            isTraced
            ? Trace { event in
                guard let said = event.said else { return }
                Self.traceLine(said, form, clock, sink)
            } : nil
    }

    private static func traceLine(_ said: String, _ form: Form, _ clock: EventClock, _ sink: Sink) {
        switch form {
        case .json: sink.lineOrDrop(mattering: false) { clock.line("trace", [("message", .string(said))]) }
        case .prose, .verbose: sink.lineOrDrop(said)
        }
    }

    /// Tells in the trace why a client's task failed, where the library's own line would be in another language.
    var failureHandler: (@Sendable (Connection, any Error) -> Void)? {
        guard trace != nil, Language.current != .english else { return nil }
        return { [form, clock, sink] connection, error in
            let reason = (error as? SocketError)?.said ?? "\(error)"
            Self.traceLine("\(connection.remoteAddress)：\(reason)", form, clock, sink)
        }
    }

    /// Whether each connection is told of.
    var isTelling: Bool { form != .prose }

    // MARK: The command

    /// That an endpoint is open, with the address that it got; and if so, that it is public.
    func listening(_ endpoint: Endpoint, service: String? = nil) {
        var members: [EventMember] = [("endpoint", .string("\(endpoint)"))]
        if let service { members.append(("service", .string(service))) }
        tell("listening \(endpoint)", "listening", members)
        guard case .address(let address) = endpoint.place, !address.isLoopback else { return }
        let transport = endpoint.transport
        warning(
            text(
                "\(address) is public: whoever reaches this machine can \(transport.carriesDatagrams ? "send to it" : "connect")",
                "\(address) 是公开的：能访问这台机器的人都能\(transport.carriesDatagrams ? "发送" : "连接")"))
    }

    func warning(_ words: String) {
        tell(text("warning: ", "警告：") + words, "warning", [("message", .string(words))])
    }

    /// Tells that descriptors ran out.
    func shortage(_ error: SocketError) {
        let sentence = Failure(error).sentence ?? ""
        warning(text("\(sentence); clients queue until others have left", "\(sentence)；新的客户端要排队，直到有别的离开"))
    }

    /// Tells that an endpoint has as many clients as it may.
    func full(_ listener: Listener, _ count: Int) {
        let address = listener.address
        warning(
            text(
                "\(address): \(count) clients, which is the limit; others queue until one has left (see --max-clients)",
                "\(address)：\(count) 个客户端，已到上限；其他的要排队，直到有一个离开（见 --max-clients）"))
    }

    /// Tells of a try to connect that failed, and that another follows: as an event each one, in prose where it `isTold`.
    func tryFailed(_ error: SocketError, _ count: Int, _ pause: Duration, isTold: Bool) {
        let words = text(
            "\(error.said); try \(count) failed, and the next follows in \(pause.inSeconds) s",
            "\(error.said)；第 \(count) 次尝试失败，\(pause.inSeconds) 秒后再试")
        guard form == .json || isTold else { return }
        tell(
            text("warning: ", "警告：") + words, "retry",
            members(error, words) + [("tries", .integer(count)), ("seconds", .seconds(pause.clampedNanoseconds))])
    }

    /// Tells of bytes of standard input that were read and do not arrive.
    func unsent(_ count: Int, _ words: String) {
        tell(words, "warning", [("message", .string(words)), ("unsent", .integer(count))])
    }

    /// Tells of datagrams that were dropped because they came from others than the peer.
    func droppedOfOthers(_ count: Int, _ peer: String) {
        let words = text(
            "\(count) datagrams of others than \(peer) were dropped", "丢弃了 \(count) 个不是 \(peer) 发来的数据报")
        tell(words, "warning", [("message", .string(words)), ("dropped", .integer(count))])
    }

    /// Tells of datagrams that a relay could not bring to the other side, and why the last of them.
    func lost(_ count: Int, _ error: SocketError) {
        let words = text("\(count) datagrams were lost; \(error.said)", "丢失了 \(count) 个数据报；\(error.said)")
        let members: [EventMember] = [("message", .string(words)), ("dropped", .integer(count))]
        tell(text("warning: ", "警告：") + words, "warning", members)
    }

    /// Tells the user something that is neither fault nor danger.
    func note(_ words: String) { tell(words, "warning", [("message", .string(words))]) }

    /// Does a verb's work, and tells what ended it, where that is to be an event, and the totals. All is written out then,
    /// as far as somebody reads it.
    func concluding(_ work: () throws -> Void) throws {
        defer { flush(within: .milliseconds(200)) }
        do {
            try work()
        } catch let failure as Failure {
            // What is wrong with the command's words is for who wrote them.
            if failure.status == .usage { throw failure }
            errors.add(1, ordering: .relaxed)
            guard form == .json else {
                totals()
                throw failure
            }
            let words = failure.sentence ?? text("nobody reads standard output any more", "没有人再读取标准输出")
            event("error", members(failure.error, words) + [("status", .integer(Int(failure.status.rawValue)))])
            totals()
            throw failure.status
        } catch {
            totals()
            throw error
        }
        totals()
    }

    func flush(within limit: Duration) { try? sink.flush(until: .after(limit)) }

    private func totals() {
        let (clients, errors) = (clients.load(ordering: .relaxed), errors.load(ordering: .relaxed))
        let (received, sent) = (received.load(ordering: .relaxed), sent.load(ordering: .relaxed))
        let (messages, time) = (messages.load(ordering: .relaxed), clock.elapsed)
        if form == .prose { return }
        tell(
            text(
                "totals: \(clients) clients, \(received) bytes received in \(messages) messages, \(sent) sent, \(errors) errors, in \(time.inSeconds) s",
                "合计：\(clients) 个客户端，收到 \(messages) 条信息共 \(received) 字节，发送 \(sent) 字节，\(errors) 个错误，历时 \(time.inSeconds) 秒"
            ),
            "totals",
            [
                ("clients", .integer(clients)), ("received", .integer(received)), ("sent", .integer(sent)),
                ("messages", .integer(messages)), ("errors", .integer(errors)),
                ("seconds", .seconds(time.clampedNanoseconds)),
            ])
    }

    // MARK: One connection

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

    func closed(_ who: Account, _ program: ChildProcess.ExitStatus?, after time: Duration) {
        var members = who.members + who.counts
        members += [("messages", .integer(who.messages)), ("seconds", .seconds(time.clampedNanoseconds))]
        switch program {
        case .exited(let code): members.append(("status", .integer(Int(code))))
        case .signalled(let number): members.append(("signal", .integer(Int(number))))
        case .unknown, nil: break
        }
        if who.lost > 0 { members.append(("dropped", .integer(who.lost))) }
        let lost = who.lost == 0 ? "" : text(", \(who.lost) datagrams lost", "，丢失 \(who.lost) 个数据报")
        tellMore(
            text(
                "\(who.name) closed: \(who.received) bytes received in \(who.messages) messages, \(who.sent) sent, in \(time.inSeconds) s\(program.map { ", ended with \($0)" } ?? "")",
                "\(who.name) 已关闭：收到 \(who.messages) 条信息共 \(who.received) 字节，发送 \(who.sent) 字节，历时 \(time.inSeconds) 秒\(program.map { "，结束时是 \($0.said)" } ?? "")"
            ) + lost,
            "closed", members)
    }

    // MARK: Telling

    private func members(_ error: SocketError?, _ words: String) -> [EventMember] {
        var members: [EventMember] = [("message", .string(words))]
        guard let error else { return members }
        members.append(("operation", .string(error.operation.rawValue)))
        members.append(("cause", .string(error.cause.word)))
        if case .system(let errno) = error.cause { members.append(("errno", .integer(Int(errno.rawValue)))) }
        return members
    }

    private func tellMore(_ words: String, _ name: String, _ members: [EventMember]) {
        if form != .prose { tell(words, name, members) }
    }

    private func tell(_ words: String, _ name: String, _ members: [EventMember]) {
        if form == .json { event(name, members) } else { sink.lineOrDrop { words } }
    }

    private func event(_ name: String, _ members: [EventMember], matters: Bool = true) {
        // The time is taken where the line gets its place, so that no later line has an earlier one.
        sink.lineOrDrop(mattering: matters) { clock.line(name, members) }
    }
}

typealias EventMember = (name: String, value: JSON)

/// The time of events: the wall clock's at the start, and from then on what the monotonic clock has counted. So it never
/// goes back.
struct EventClock: Sendable {
    private let start = WallClock.now
    private let began = Deadline.now

    var elapsed: Duration { .nanoseconds(Int64(clamping: Deadline.now.nanoseconds &- began.nanoseconds)) }

    func line(_ name: String, _ members: [EventMember]) -> String {
        let now = UInt64(clamping: start.seconds) &* 1_000_000_000 &+ UInt64(clamping: start.nanoseconds)
        let all: [EventMember] = [("time", .seconds(now &+ elapsed.clampedNanoseconds)), ("event", .string(name))]
        return JSON.object((all + members).map { JSON.Member(name: $0.name, value: $0.value) }).text
    }
}

extension SocketError.Cause {
    /// One word for a program to match on.
    fileprivate var word: String {
        switch self {
        case .system: "system"
        case .closed: "closed"
        case .timedOut: "timed-out"
        case .cancelled: "cancelled"
        case .resolution: "resolution"
        case .endpoint: "endpoint"
        case .ended: "ended"
        case .lineTooLong: "line-too-long"
        case .misuse: "misuse"
        }
    }
}
