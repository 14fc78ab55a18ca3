internal import SocketCore
internal import Sockets
internal import struct SystemPackage.Errno

extension RelayVerb {
    /// The framing, where a stream is to meet datagrams; fails where it is missing, or where there is nothing to frame.
    func checkedFraming(_ entrances: [Settings], _ targets: [Destination]) throws(Failure) -> Framing? {
        if let streams = targets.first(where: { !$0.isDatagrams })?.endpoint,
            let datagrams = targets.first(where: \.isDatagrams)?.endpoint
        {
            throw Failure(
                .usage,
                text(
                    "\(streams) is a stream and \(datagrams) is not; the targets of a relay are of one kind",
                    "\(streams) 是字节流，而 \(datagrams) 不是；一个 relay 的目标必须是同一种"))
        }
        guard let first = targets.first else { return frame }
        let (target, isDatagrams, behind) = (first.endpoint, first.isDatagrams, targets.map(\.endpoint))
        for entrance in entrances.map(\.endpoint) where target.transport == .unixDatagram {
            guard entrance.transport == .unixDatagram, behind.contains(where: { $0.place == entrance.place }) else {
                continue
            }
            throw isItsOwnTarget(entrance)
        }
        let mixed = entrances.filter { $0.isDatagrams != isDatagrams }.map(\.endpoint)
        if !isDatagrams, let entrance = mixed.first {
            try checkOutput(behind, of: entrance, hasStreams: mixed.count < entrances.count)
        }
        let streams = mixed.isEmpty ? [] : isDatagrams ? mixed : behind
        if frame == nil, let mixed = mixed.first, let stream = try connectable(streams) {
            throw Failure(
                .usage,
                text(
                    "between \(mixed) and \(target) a framing is needed, since the stream \(stream) has no borders: --frame lines (each datagram a line), --frame length (two bytes before each, as DNS over TCP), or --frame none (as they come)",
                    "\(mixed) 和 \(target) 之间需要说明分界，因为字节流 \(stream) 没有边界：--frame lines（每个数据报一行），--frame length（每个前面两个字节是长度，如同 TCP 上的 DNS），或者 --frame none（来什么发什么）"
                ))
        }
        if mixed.isEmpty, frame != nil {
            let kinds = isDatagrams ? text("datagrams", "数据报") : text("streams", "字节流")
            throw Failure(
                .usage,
                text(
                    "--frame is for a stream that meets datagrams; both sides are \(kinds) here, so leave it out",
                    "--frame 用于字节流和数据报之间；这里两边都是\(kinds)，请去掉它"))
        }
        return frame ?? (mixed.isEmpty ? nil : Framing.none)
    }

    private func connectable(_ streams: [Endpoint]) throws(Failure) -> Endpoint? {
        for stream in streams where try isConnectable(stream) { return stream }
        return nil
    }

    /// Whether a stream endpoint is a socket, of which only its user knows what its other end expects. Into a file, a program
    /// or a pipe datagrams go as they are, unless `--frame` says otherwise.
    private func isConnectable(_ endpoint: Endpoint) throws(Failure) -> Bool {
        switch endpoint.place {
        case .standardStreams, .program, .file: return false
        case .address, .name, .port, .inherited: return true
        case .descriptor(let number):
            do throws(Errno) {
                return try System.use(of: number).isSocket
            } catch {
                throw Failure(SocketError(.adopt, .system(error), target: "\(endpoint)"))
            }
        }
    }

    /// Fails where targets cannot take the datagrams that come to an entrance: those of all senders go to one output, and
    /// a connected socket that was passed on has one peer, which could answer none of them. `hasStreams`: streams come too.
    private func checkOutput(_ targets: [Endpoint], of entrance: Endpoint, hasStreams: Bool) throws(Failure) {
        for target in targets {
            let isInherited = target.transport == .inherited || target.transport == .descriptor
            let isSocket = try isInherited ? isConnectable(target) : false
            if isSocket {
                throw Failure(
                    .usage,
                    text(
                        "\(target) cannot be the target of datagrams, since it is one connected socket for all senders; write tcp://HOST:PORT, unix:PATH, exec:PROGRAM, file:PATH or -",
                        "\(target) 不能作为数据报的目标，因为它是所有发送者共用的一个已连接的套接字；请写 tcp://HOST:PORT、unix:路径、exec:程序、file:路径 或 -"
                    ))
            }
            guard SharedOutput.isNamed(by: target) else { continue }
            if target["mode"]?.value == FileAccess.read.rawValue {
                throw Failure(
                    .usage,
                    text(
                        "\(target) is opened to be read, so it takes no datagrams; leave ?mode=read out",
                        "\(target) 打开是为了读取，不接受数据报；请去掉 ?mode=read"))
            }
            if targets.count > 1 {
                throw Failure(
                    .usage,
                    text(
                        "\(target) takes the datagrams of all senders, so it is the only target; leave the others out",
                        "\(target) 接受所有发送者的数据报，所以只能有这一个目标；请去掉其他的"))
            }
            if hasStreams, target.isThereOnce {
                throw Failure(
                    .usage,
                    text(
                        "\(target) takes the datagrams that come to \(entrance), so no stream can have it; leave the other endpoints out",
                        "\(target) 接受发到 \(entrance) 的数据报，字节流不能再用它；请去掉其他监听的端点"))
            }
        }
    }
}

/// Fails where an entrance that is open now and a target are one socket, however they are written: a datagram would go
/// round for ever.
func checkTargets(_ targets: [Endpoint], of entrance: Entrance) throws(Failure) {
    guard case .senders(let socket, let settings) = entrance, socket.transport == .unixDatagram,
        let own = try? socket.localAddress
    else { return }
    let ownFile = file(at: own)
    for target in targets where target.transport == .unixDatagram {
        guard case .address(let address) = target.place else { continue }
        if address == own || ownFile != nil && file(at: address) == ownFile { throw isItsOwnTarget(settings.endpoint) }
    }
}

private func file(at address: SocketAddress) -> System.FileStatus? {
    guard case .unix(let path) = address, path.kind == .path else { return nil }
    return try? System.status(path, followsLinks: true)
}

private func isItsOwnTarget(_ entrance: Endpoint) -> Failure {
    Failure(
        .usage,
        text(
            "\(entrance) would be relayed to itself, for ever; the target is another endpoint",
            "\(entrance) 会不停地转给自己；目标要是另一个端点"))
}
