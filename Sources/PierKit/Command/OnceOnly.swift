internal import SocketCore
internal import Sockets

/// Refuses what this process has once, and several endpoints name.
func checkOnceOnly(_ endpoints: [Endpoint]) throws(Failure) {
    var taken: [CInt: Endpoint] = [:]
    var names: [Endpoint.Place: Endpoint] = [:]
    for endpoint in endpoints {
        let numbers: [CInt]
        switch endpoint.place {
        case .standardStreams: numbers = [0, 1]
        case .descriptor(let number): numbers = [number]
        case .inherited:
            if let other = names.updateValue(endpoint, forKey: endpoint.place) { throw twice(endpoint, other) }
            continue
        case .address, .name, .port, .program, .file: continue
        }
        for number in numbers {
            if let other = taken.updateValue(endpoint, forKey: number) { throw twice(endpoint, other) }
        }
    }
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
