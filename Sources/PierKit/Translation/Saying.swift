internal import SocketCore
internal import Sockets

// What the library says in English, in the language of the locale: by what it is, or by the words of a phrase.

extension SocketError {
    /// One sentence.
    var said: String {
        guard Language.current == .chinese else { return description }
        if case .endpoint(let error) = cause { return error.said }
        let place = target ?? (remote ?? local).map { $0 == .unnamed ? "unix" : "\($0.transportName) \($0)" }
        let sent = operation == .send && bytesSent > 0 ? "；在此之前发送了 \(bytesSent) 字节" : ""
        return "\(operation.chinese)\(place.map { " " + $0 } ?? "")：\(cause.said)\(sent)"
    }
}

extension SocketError.Cause {
    /// What happened.
    var said: String {
        guard Language.current == .chinese else { return description }
        return switch self {
        case .system(let errno): errno.said
        case .closed: "已经关闭"
        case .timedOut: "超时"
        case .cancelled: "已取消"
        case .resolution(let name, let reason):
            "\(name.escapedForTerminal())：\(chineseSentences[reason] ?? reason)"
        case .endpoint(let error): error.phrase.said
        case .ended(let received): "收到 \(received) 字节后对方就结束了，其余没有来"
        case .lineTooLong(let limit): "有一行超过了 \(limit) 字节"
        case .messageCut(let sent): "先前的一条消息在发送 \(sent) 字节后被截断"
        case .misuse(let what): chineseSentences[what] ?? what
        }
    }
}

extension Errno {
    /// What the kernel's number means; where it is not a common one, in the words of `strerror(3)`.
    var said: String { Language.current == .chinese ? chineseErrors[self] ?? sentence : sentence }
}

extension EndpointError {
    /// One sentence, safe for a terminal.
    var said: String {
        guard Language.current == .chinese else { return description }
        return "端点 \"\(text.escapedForTerminal())\" 写错了，在第 \(character) 个字符处：\(phrase.said)"
    }
}

extension Phrase {
    /// The sentence with the words of the locale's language, where they are known.
    var said: String {
        guard Language.current == .chinese, let words = chineseSentences[words] else { return text }
        return said(words)
    }
}

extension SocketError.Operation {
    var chinese: String {
        switch self {
        case .bind: "绑定"
        case .listen: "监听"
        case .accept: "接受客户端"
        case .resolve: "解析"
        case .connect: "连接"
        case .receive: "接收"
        case .send: "发送"
        case .shutdown: "结束一个方向"
        case .option: "读取或设置选项"
        case .sleep: "等待时间"
        case .loop: "事件循环"
        case .adopt: "接管"
        case .run: "运行"
        case .open: "打开"
        case .read: "读取"
        case .write: "写入"
        }
    }
}

// MARK: - The trace

extension Trace.Event {
    /// One line, safe for a terminal; nil where it holds a sentence that is told otherwise.
    var said: String? {
        guard Language.current == .chinese else { return description }
        let name = who.map(\.description) ?? "fd \(descriptor)"
        switch action {
        case .stage(let stage, let socket, let queued):
            let waited = queued.map { "，在监听队列里等了 \($0.inSeconds) 秒" } ?? ""
            return "\(stage.chinese) \(socket)\(waited)"
        case .listening(let backlog):
            return "\(name)：已开放，最多 \(backlog) 个客户端排队等待接受"
        case .waited(.accept, let duration, let outcome):
            return "接受客户端：阻塞了 \(duration.inSeconds) 秒，直到\(outcome.chinese)"
        case .waited(let operation, let duration, let outcome):
            return "\(name)：\(operation.chinese)阻塞了 \(duration.inSeconds) 秒，直到\(outcome.chinese)"
        case .waitedElsewhere(let what, let duration, let outcome):
            return "等待\(what)用了 \(duration.inSeconds) 秒，直到\(outcome.chinese)"
        case .did(.accept, let outcome):
            return "接受客户端没有阻塞：\(outcome.chinese)"
        case .did(let operation, let outcome):
            return "\(name)：\(operation.chinese)没有阻塞：\(outcome.chinese)"
        case .attempt(let number, let count, let delay):
            let later = number == 1 ? "" : "，比第一次晚 \(delay.inSeconds) 秒"
            return "第 \(number) 次尝试，共 \(count) 个地址：\(name)\(later)"
        case .clientFailed:
            // Its reason is English. A client's error goes to `Report.failureHandler`, a shortage is a warning.
            return nil
        case .closed:
            return "\(name)：关闭了 fd \(descriptor)"
        }
    }
}

extension Trace.Stage {
    fileprivate var chinese: String {
        switch self {
        case .created: "已创建"
        case .bound: "已绑定"
        case .accepted: "已接受"
        case .connected: "已连接"
        }
    }
}

extension Trace.Outcome {
    fileprivate var chinese: String {
        switch self {
        case .came(let count): "收到 \(count) 字节"
        case .taken(let count): "\(count) 字节全部交给了系统"
        case .datagram(let count, let sender): "收到 \(sender) 的数据报，\(count) 字节"
        case .datagrams(let count): "收到 \(count) 个数据报"
        case .receiverFull: "接收者的队列满了"
        case .finished: "对方发送完毕"
        case .client(let address): "\(address) 发来连接请求"
        case .connected: "对方的系统作出了应答"
        case .lostRace: "另一个地址先连接上了"
        case .ended: "它结束了"
        case .done: "完成了"
        case .failed(.closed): "它被关闭了"
        case .failed(.cancelled): "它的任务被取消了"
        case .failed(.timedOut): "时间用完了"
        case .failed(let cause): "出错：\(cause.said)"
        }
    }
}
