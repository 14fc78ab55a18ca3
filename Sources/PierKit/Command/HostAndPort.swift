internal import Sockets

extension String {
    /// The endpoint whose port is a word of its own: `HOST PORT`. An IPv6 address gets its brackets.
    func joined(toPort port: String?, keys: [String]) throws(Failure) -> String {
        guard let port else { return self }
        guard (try? Endpoint(self, keys: keys)) == nil else {
            let (endpoint, port) = (escapedForTerminal(), port.escapedForTerminal())
            throw Failure(
                .usage,
                text(
                    "\(endpoint) is an endpoint already: leave \(port) out", "\(endpoint) 已经是完整的端点：请去掉 \(port)"))
        }
        let place = prefix { $0 != "?" }
        let scheme = place.firstRange(of: "://").map { place[..<$0.upperBound] } ?? ""
        let host = place.dropFirst(scheme.count)
        guard !host.isEmpty else {
            throw Failure(
                .usage,
                text(
                    "the host is empty: write HOST PORT, or :\(port.escapedForTerminal()) for this machine",
                    "主机是空的：请写 HOST PORT，或者用 :\(port.escapedForTerminal()) 表示本机"))
        }
        let isBare = host.contains(":") && !host.hasPrefix("[")
        return scheme + (isBare ? "[\(host)]" : host) + ":" + port + dropFirst(place.count)
    }
}
