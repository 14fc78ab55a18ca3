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
    let connections = Atomic<Int>(0)
    let clients = Atomic<Int>(0)
    let received = Atomic<Int>(0)
    let sent = Atomic<Int>(0)
    let messages = Atomic<Int>(0)
    let errors = Atomic<Int>(0)
    /// Whether what goes on is cut short, so that nothing of single connections is told any more; and whether all has been
    /// told. Looked at when a line gets its place.
    private let isCut = Atomic<Bool>(false)
    private let isOver = Atomic<Bool>(false)

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

    /// Resets the connection of a client whose service failed, since it may have got a part only; and tells the trace why, in
    /// the locale's language.
    var failureHandler: @Sendable (Connection, any Error) -> Void {
        let isTraced = trace != nil
        return { [form, clock, sink] connection, error in
            defer { connection.abort() }
            guard isTraced else { return }
            let (client, reason) = (connection.remoteAddress, (error as? SocketError)?.said ?? "\(error)")
            Self.traceLine(text("\(client): \(reason)", "\(client)：\(reason)"), form, clock, sink)
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
            let told = members(failure.error, words) + [("status", .integer(Int(failure.status.rawValue)))]
            isOver.store(true, ordering: .sequentiallyConsistent)
            sink.lineOrDrop { clock.line("error", told) }
            totals()
            throw failure.status
        } catch {
            totals()
            throw error
        }
        totals()
    }

    /// Waits for what goes on. Clients that are still there when it is cut short see a reset where their connection has one,
    /// after `cut`, and are told of no more.
    func following(_ wait: () throws -> Void, cut: () -> Void = {}) throws {
        do {
            try wait()
        } catch {
            cut()
            CutShort.resetConnections()
            isCut.store(true, ordering: .sequentiallyConsistent)
            throw error
        }
    }

    func flush(within limit: Duration) { try? sink.flush(until: .after(limit)) }

    private func totals() {
        let (clients, errors) = (clients.load(ordering: .relaxed), errors.load(ordering: .relaxed))
        let (received, sent) = (received.load(ordering: .relaxed), sent.load(ordering: .relaxed))
        let (messages, time) = (messages.load(ordering: .relaxed), clock.elapsed)
        // Nothing comes behind it.
        isOver.store(true, ordering: .sequentiallyConsistent)
        if form == .prose { return }
        let words = text(
            "totals: \(clients) clients, \(received) bytes received in \(messages) messages, \(sent) sent, \(errors) errors, in \(time.inSeconds) s",
            "合计：\(clients) 个客户端，收到 \(messages) 条信息共 \(received) 字节，发送 \(sent) 字节，\(errors) 个错误，历时 \(time.inSeconds) 秒"
        )
        let members: [EventMember] = [
            ("clients", .integer(clients)), ("received", .integer(received)), ("sent", .integer(sent)),
            ("messages", .integer(messages)), ("errors", .integer(errors)),
            ("seconds", .seconds(time.clampedNanoseconds)),
        ]
        sink.lineOrDrop { form == .json ? clock.line("totals", members) : words }
    }

    // MARK: Telling

    func members(_ error: SocketError?, _ words: String) -> [EventMember] {
        var members: [EventMember] = [("message", .string(words))]
        guard let error else { return members }
        members.append(("operation", .string(error.operation.rawValue)))
        members.append(("cause", .string(error.cause.word)))
        if case .system(let errno) = error.cause { members.append(("errno", .integer(Int(errno.rawValue)))) }
        return members
    }

    /// Of a single connection.
    func tellMore(_ words: String, _ name: String, _ members: [EventMember]) {
        if form == .prose { return }
        sink.lineOrDrop { isCut.load(ordering: .relaxed) ? nil : line(words, name, members) }
    }

    /// The same for what is told as an event only; who calls it has looked whether that is asked for.
    func event(_ name: String, _ members: [EventMember], matters: Bool = true) {
        sink.lineOrDrop(mattering: matters) { isCut.load(ordering: .relaxed) ? nil : line("", name, members) }
    }

    private func tell(_ words: String, _ name: String, _ members: [EventMember]) {
        sink.lineOrDrop { line(words, name, members) }
    }

    /// Made where it gets its place, so that no later line has an earlier time, and none stands behind the last.
    private func line(_ words: String, _ name: String, _ members: [EventMember]) -> String? {
        if isOver.load(ordering: .relaxed) { return nil }
        return form == .json ? clock.line(name, members) : words
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
        case .messageCut: "message-cut"
        case .misuse: "misuse"
        }
    }
}
