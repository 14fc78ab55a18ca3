internal import SocketCore
internal import Sockets

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
        let mixed = entrances.first { $0.isDatagrams != isDatagrams }?.endpoint
        if let mixed, frame == nil {
            throw Failure(
                .usage,
                text(
                    "between \(mixed) and \(target) a framing is needed, since a stream has no borders: --frame lines (each datagram a line), --frame length (two bytes before each, as DNS over TCP), or --frame none (as they come)",
                    "\(mixed) 和 \(target) 之间需要说明分界，因为字节流没有边界：--frame lines（每个数据报一行），--frame length（每个前面两个字节是长度，如同 TCP 上的 DNS），或者 --frame none（来什么发什么）"
                ))
        }
        let isSocket = { (endpoint: Endpoint) in endpoint.transport.hasAddresses && endpoint.place != .standardStreams }
        if mixed != nil, !isDatagrams, let elsewhere = behind.first(where: { !isSocket($0) }) {
            throw Failure(
                .usage,
                text(
                    "\(elsewhere) cannot be the target of datagrams; that is a socket: tcp://HOST:PORT or unix:PATH",
                    "\(elsewhere) 不能作为数据报的目标；目标要是套接字：tcp://HOST:PORT 或 unix:PATH"))
        }
        if mixed == nil, frame != nil {
            let kinds = isDatagrams ? text("datagrams", "数据报") : text("streams", "字节流")
            throw Failure(
                .usage,
                text(
                    "--frame is for a stream that meets datagrams; both sides are \(kinds) here, so leave it out",
                    "--frame 用于字节流和数据报之间；这里两边都是\(kinds)，请去掉它"))
        }
        return frame
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
