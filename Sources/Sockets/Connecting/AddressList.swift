package import SocketCore

/// The addresses that an endpoint means, at least one, in the order to try them in.
package struct AddressList: Sendable, Equatable {
    package let first: SocketAddress
    /// None for most endpoints, and then nothing is allocated.
    package let others: [SocketAddress]

    init(_ only: SocketAddress) {
        first = only
        others = []
    }

    /// Takes the order that the resolver gave (RFC 6724), and changes it so that the families alternate, the first one's
    /// first (RFC 8305, 4): where one family does not work at all, the second attempt is at the other. Nil for none.
    package init?(interleaving addresses: [SocketAddress]) {
        guard let first = addresses.first else { return nil }
        var same = addresses.filter { $0.family == first.family }.dropFirst()
        var other = addresses.filter { $0.family != first.family }[...]
        var others: [SocketAddress] = []
        while !same.isEmpty || !other.isEmpty {
            if let next = other.popFirst() { others.append(next) }
            if let next = same.popFirst() { others.append(next) }
        }
        self.first = first
        self.others = others
    }
}
