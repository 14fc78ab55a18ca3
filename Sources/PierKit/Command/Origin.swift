internal import ArgumentParser
internal import SocketCore
internal import Sockets

/// The flags of all verbs that connect which say where to come from, and over which family.
struct Origin: ParsableArguments {
    static let keys = ["ipv4", "ipv6", "source"]

    @Flag(
        name: [.customShort("4"), .customLong("ipv4")],
        help: ArgumentHelp(text("Connect over IPv4 only.", "只通过 IPv4 连接。")))
    var ipv4 = false

    @Flag(
        name: [.customShort("6"), .customLong("ipv6")],
        help: ArgumentHelp(text("Connect over IPv6 only.", "只通过 IPv6 连接。")))
    var ipv6 = false

    @Option(
        help: ArgumentHelp(
            text(
                "Which of this machine's addresses to come from: ADDRESS or ADDRESS:PORT.",
                "使用本机的哪个地址作为源地址：ADDRESS 或 ADDRESS:PORT。")))
    var source: Source?

    /// What holds for an endpoint: the flags, or what it says otherwise.
    func chosen(for place: Endpoint) throws(Failure) -> (source: SocketAddress?, family: AddressFamily?) {
        let word = Bool.hint
        let wantsIPv4 = try value(of: "ipv4", in: place, else: ipv4, word)
        let wantsIPv6 = try value(of: "ipv6", in: place, else: ipv6, word)
        if wantsIPv4, wantsIPv6 {
            throw Failure(
                .usage,
                text(
                    "--ipv4 and --ipv6 exclude each other; leave both out to use addresses of either",
                    "--ipv4 和 --ipv6 不能同时使用；两个都不写，就使用任意一种地址"))
        }
        let family: AddressFamily? = wantsIPv4 ? .ipv4 : wantsIPv6 ? .ipv6 : nil
        var source = source
        if let parameter = place["source"] {
            source = Source(argument: parameter.value)
            if source == nil {
                throw Failure(
                    .usage,
                    text(
                        "\(place): source is \(Source.hint), not \"\(parameter.value.escapedForTerminal())\"",
                        "\(place)：source 是\(Source.hint)，不能是 \"\(parameter.value.escapedForTerminal())\""))
            }
        }
        if let own = source?.address.ipFamily, let family, own != family {
            throw Failure(
                .usage,
                text(
                    "the source is an \(own) address, and only \(family) is asked for; leave one of them out",
                    "源地址是 \(own) 地址，而要求的只有 \(family)；请去掉其中一个"))
        }
        try check(place, source?.address, family)
        return (source?.address, family)
    }

    /// Throws what can be told to be wrong before anything is connected.
    private func check(_ place: Endpoint, _ source: SocketAddress?, _ family: AddressFamily?) throws(Failure) {
        guard place.transport.hasAddresses, place.place != .standardStreams else {
            if source == nil, family == nil { return }
            throw Failure(
                .usage,
                text(
                    "\(place) has no IP address: leave --source, --ipv4 and --ipv6 out",
                    "\(place) 没有 IP 地址：请去掉 --source、--ipv4 和 --ipv6"))
        }
        do throws(SocketError) {
            try place.checkForConnecting(from: source, over: family)
        } catch {
            throw Failure(error)
        }
    }
}
