internal import SocketCore
internal import Sockets

/// What stands at an endpoint, before anything is done with it.
enum Place: Sendable {
    /// An address, to connect to or to listen on.
    case address
    /// A stream that is there already: a program, a file, or a connected socket that this process was started with.
    case stream
    /// A listening socket that this process was started with.
    case listener
    /// A datagram socket that this process was started with.
    case datagrams

    /// To be found out before this process opens anything: a number that it was not started with would be that then.
    init(_ endpoint: Endpoint) throws(Failure) {
        do throws(SocketError) {
            switch try endpoint.inheritedKind {
            case .stream: self = .stream
            case .listener: self = .listener
            case .datagrams: self = .datagrams
            case nil: self = endpoint.transport.hasAddresses ? .address : .stream
            }
        } catch {
            throw Failure(error)
        }
    }
}

/// Whether an endpoint stands for datagram sockets; to be found out as early as a place.
func namesDatagrams(_ endpoint: Endpoint) throws(Failure) -> Bool {
    do throws(SocketError) { return try endpoint.namesDatagrams } catch { throw Failure(error) }
}

extension JoinRules {
    /// Throws where flags are for streams, and this is no stream.
    func checkForDatagrams(_ endpoint: Endpoint) throws(Failure) {
        guard stop != nil || sendsReturns else { return }
        let flag = sendsReturns ? "--crlf" : stop.map(\.flag) ?? ""
        throw Failure(
            .usage,
            text(
                "\(endpoint): datagrams have borders of their own, and \(flag) is for streams: leave it out",
                "\(endpoint)：数据报有自己的边界，而 \(flag) 是给字节流用的：请去掉它"))
    }

    /// How a file is opened: as its endpoint says; or else it is what things go to, and as a client what they come from,
    /// unless only the other direction is asked for.
    func fileAccess(_ endpoint: Endpoint) -> FileAccess {
        if let mode = endpoint["mode"].flatMap({ FileAccess(rawValue: $0.value) }) { return mode }
        return duplex == .receive || answers && duplex != .send ? .read : .append
    }

    /// The rules for an endpoint, or why they cannot hold there; by their words alone.
    func fitting(_ endpoint: Endpoint) throws(Failure) -> JoinRules {
        if endpoint.transport.carriesDatagrams { try checkForDatagrams(endpoint) }
        var rules = self
        if case .file = endpoint.place {
            let access = fileAccess(endpoint)
            if duplex == .half {
                throw Failure(
                    .usage,
                    text(
                        "\(endpoint): a file gives no replies: leave --duplex half out",
                        "\(endpoint)：文件不会回应：请去掉 --duplex half"))
            }
            if duplex == .send && access == .read || duplex == .receive && access != .read {
                throw Failure(
                    .usage,
                    text(
                        "\(endpoint): mode=\(access.rawValue) and --duplex \(duplex.rawValue) exclude each other",
                        "\(endpoint)：mode=\(access.rawValue) 和 --duplex \(duplex.rawValue) 不能同时使用"))
            }
            // Nothing can be sent to it, so no input is read that would be lost.
            if access == .read { rules.duplex = .receive }
        }
        if let stop, rules.duplex == .send {
            throw Failure(
                .usage,
                text(
                    "\(stop.flag) is about what is received, and with --duplex send that is dropped: leave one of them out",
                    "\(stop.flag) 针对收到的内容，而 --duplex send 会丢弃它：请去掉其中一个"))
        }
        if sendsReturns, rules.duplex == .receive {
            throw Failure(
                .usage,
                text(
                    "--crlf is about what is sent, and here only receiving is asked for: leave it out",
                    "--crlf 针对发送的内容，而这里只接收：请去掉它"))
        }
        return rules
    }
}
