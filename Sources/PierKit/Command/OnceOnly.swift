internal import SocketCore
internal import Sockets

/// Refuses what this process has once, and several endpoints name.
func checkOnceOnly(_ endpoints: [Endpoint]) throws(Failure) {
    var places: [Endpoint.Place: Endpoint] = [:]
    for endpoint in endpoints where endpoint.isThereOnce {
        if let other = places.updateValue(endpoint, forKey: endpoint.place) { throw twice(endpoint, other) }
    }
    var taken: [CInt: Endpoint] = [:]
    for endpoint in endpoints where endpoint.isThereOnce {
        for number in try descriptors(of: endpoint) {
            if let other = taken.updateValue(endpoint, forKey: number) { throw twice(endpoint, other) }
        }
    }
}

private func descriptors(of endpoint: Endpoint) throws(Failure) -> [CInt] {
    if endpoint.place == .standardStreams { return [0, 1] }
    do throws(SocketError) { return try endpoint.inheritedDescriptors ?? [] } catch { throw Failure(error) }
}

private func twice(_ endpoint: Endpoint, _ other: Endpoint) -> Failure {
    Failure(
        .usage,
        endpoint.place == other.place
            ? text(
                "\(endpoint) is given twice, and there is one of it: leave one of them out",
                "\(endpoint) 写了两次，而它只有一个：请去掉其中一个")
            : text(
                "\(endpoint) and \(other) are the same descriptor: leave one of them out",
                "\(endpoint) 和 \(other) 是同一个描述符：请去掉其中一个"))
}

extension Endpoint {
    /// Whether it is one stream that was there before this process, so that only one can be joined to it.
    var isThereOnce: Bool {
        switch place {
        case .standardStreams, .descriptor, .inherited: true
        case .address, .name, .port, .program, .file: false
        }
    }
}
