import FuzzSupport
import SocketCore

// An address as a person writes it, and as the kernel does.

fuzz { data, count in
    let bytes = input(data, count)
    let text = String(decoding: bytes, as: UTF8.self)
    if let address = try? SocketAddress(text) { check(address) }
    if let address = IPv4Address(text) { precondition(IPv4Address(address.description) == address) }
    if let address = IPv6Address(text) { precondition(IPv6Address(address.description) == address) }
    if let address = UnixAddress(path: text) { check(.unix(address)) }
    if let address = UnixAddress(abstract: text) { check(.unix(address)) }
    if let address = bytes.withUnsafeBytes({ SocketAddress(kernel: $0) }) { check(address) }
    return 0
}

/// It prints so that it can be shown, and goes to the kernel and back as it is.
private func check(_ address: SocketAddress) {
    let printed = address.description
    precondition(!printed.unicodeScalars.contains { $0.isUnsafeForTerminal }, "it prints what a terminal obeys")
    let back = address.withSockAddr { pointer, length in
        SocketAddress(kernel: UnsafeRawBufferPointer(start: pointer, count: Int(length)))
    }
    // What is written as an IPv4 address inside an IPv6 one comes back as the IPv4 address that it is.
    if case .ipv6(let inner, _, _) = address, inner.mappedIPv4 != nil { return }
    precondition(back == address, "\(printed) comes back as something else")
    // A zone's name is the machine's; a number that no interface has need not parse.
    if case .ipv6(_, _, let zone) = address, zone != 0 { return }
    guard address != .unnamed else { return }
    do throws(EndpointError) {
        let again = try SocketAddress(printed)
        precondition(again == address, "\(printed) is another address")
    } catch {
        // The kernel takes a zero in an abstract name, and a path that fills sun_path to its end; an endpoint does not.
        precondition(printed.contains("%00") || error.reason.contains("too long"), "\(printed) does not parse back")
    }
}
