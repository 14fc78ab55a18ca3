internal import SocketCore
internal import Sockets

/// What is limited where nobody says otherwise, and how the help tells it.
enum Limits {
    /// How many clients each of some endpoints serves: as many as there are descriptors for, less what is open already and
    /// some for the process itself; a thread needs a second one to be woken by.
    static func clients(_ model: Model, endpoints: Int) -> Int {
        let limit = System.descriptorLimit
        let kept = max(min(64, limit / 4), Standard.openDescriptors + 16)
        let free = max(1, (limit - kept) / endpoints)
        return model == .threads ? max(1, min(mostThreads / endpoints, free / 2)) : free
    }

    static let mostThreads = 1000

    /// How many clients each of some endpoints relays: each needs a descriptor for itself and those of its target, and what
    /// comes in bulk needs some for all.
    static func relayed(endpoints: Int, to targets: [Endpoint] = []) -> Int {
        let each = 1 + (targets.map(\.descriptors).max() ?? 1)
        return max(1, (clients(.tasks, endpoints: 1) - Relay.sharedDescriptors) / each / endpoints)
    }

    /// How many senders of datagrams each of some endpoints relays: each needs descriptors for its target. A program is
    /// started for whatever address a datagram claims to come from, so there are few of those.
    static func relayedSessions(endpoints: Int, to targets: [Endpoint] = []) -> Int {
        let runsPrograms = targets.contains { $0.transport == .program }
        let most = runsPrograms ? max(1, mostProgramsOfSenders / endpoints) : mostRelayedSessions
        return min(most, relayed(endpoints: endpoints, to: targets))
    }

    static let mostRelayedSessions = 10_000
    static let mostProgramsOfSenders = 100

    static let relayedSessionsHelp = text(
        "How many senders of datagrams have a session at once; at the limit the one that has been silent for longest makes room (default: \(mostRelayedSessions), or half of what the limit on open files leaves, if that is less; \(mostProgramsOfSenders) where each has a program). At the most, 64 datagrams wait in each, and 8 MiB in all.",
        "同时有多少个数据报的发送者有会话；到了上限，沉默最久的一个让出位置（默认：\(mostRelayedSessions)，或者打开文件数的限制所剩的一半，取较小的；每个发送者有自己的程序时是 \(mostProgramsOfSenders)）。每个会话最多有 64 个数据报等待，全部最多 8 MiB。"
    )

    static let relayedHelp: String = {
        let number =
            isForThisMachine
            ? text(
                "\(relayed(endpoints: 1)) here, half of what the limit on open files leaves; of programs a third, of files a fifth",
                "这里是 \(relayed(endpoints: 1))，是打开文件数的限制所剩的一半；用程序时是三分之一，用文件时是五分之一")
            : text(
                "half of what the limit on open files leaves; of programs a third, of files a fifth",
                "打开文件数的限制所剩的一半；用程序时是三分之一，用文件时是五分之一")
        return text(
            "How many clients are relayed at once; more queue (default: \(number); several endpoints share them).",
            "同时转接多少客户端，更多的要排队（默认：\(number)；几个端点平分）。")
    }()

    /// Asked once: the number depends on what is open at the moment.
    static let clientsHelp: String = {
        // What is written to a file is read elsewhere, where another limit holds.
        let (count, threads) = (clients(.tasks, endpoints: 1), clients(.threads, endpoints: 1))
        let numbers =
            isForThisMachine
            ? text(
                "\(count) here, from the limit on open files; \(threads) with threads",
                "这里是 \(count)，取决于打开文件数的限制；用线程时是 \(threads)")
            : text(
                "what the limit on open files allows; at most \(mostThreads) with threads",
                "取决于打开文件数的限制；用线程时最多 \(mostThreads)")
        return text(
            "How many clients are served at once; more queue (default: \(numbers); several endpoints share them).",
            "同时服务多少客户端，更多的要排队（默认：\(numbers)；几个端点平分）。")
    }()

    private static var isForThisMachine: Bool {
        !CommandLine.arguments.contains { $0 == "manual" || $0.hasPrefix("--generate-completion-script") }
    }

    static let bytesHelp = text(
        "How many bytes one message has at the most. At the most, a client that does not read holds one message, and where messages are shown its text, up to four times as long; besides the kernel's buffers, and about 2 KB for its task, or with threads a stack of 256 KiB.",
        "一条信息最多有多少字节。不读取的客户端最多占用一条信息，显示信息时还有它的文字，最多是四倍长；此外是内核的缓冲区，以及它的任务约 2 KB，用线程时是 256 KiB 的栈。")

    static let sessionsHelp = text(
        "How many senders of datagrams are known at once, where something is told of them or over Unix sockets; at the limit the one that has been silent for longest is forgotten. At the most, 64 datagrams wait for each, and 8 MiB for all.",
        "要说出发送者或用 Unix 套接字的时候，同时记住多少个数据报的发送者；到了上限，忘掉沉默最久的一个。每个发送者最多有 64 个数据报等待处理，全部最多 8 MiB。")
}

extension Endpoint {
    /// How many descriptors a stream to it takes: a program's has one to be told of its end by; a file has its own, and a
    /// socket pair and a bell for the threads that read and write it.
    fileprivate var descriptors: Int {
        switch place {
        case .program: 2
        case .file: 4
        case .address, .name, .port, .standardStreams, .descriptor, .inherited: 1
        }
    }
}
