import Sockets
import Testing
import TestSupport

/// The order in which the addresses of a name are tried.
@Suite("RFC 8305, 4: the order of addresses", .inTurn) struct AddressListTests {
    private func order(_ texts: [String]) throws -> [String] {
        let list = try #require(AddressList(interleaving: try texts.map { try SocketAddress("\($0):80") }))
        return ([list.first] + list.others).map { String("\($0)".dropLast(3)) }
    }

    @Test(arguments: [
        (["[::1]", "[::2]", "[::3]", "1.1.1.1", "2.2.2.2"], ["[::1]", "1.1.1.1", "[::2]", "2.2.2.2", "[::3]"]),
        (["1.1.1.1", "[::1]", "[::2]", "[::3]"], ["1.1.1.1", "[::1]", "[::2]", "[::3]"]),
        (["1.1.1.1", "2.2.2.2"], ["1.1.1.1", "2.2.2.2"]),
        (["[::1]"], ["[::1]"]),
    ])
    func theFamiliesAlternateFromTheFirstOnesOn(_ found: [String], _ expected: [String]) throws {
        #expect(try order(found) == expected)
    }

    @Test func noAddressesAreNoList() {
        #expect(AddressList(interleaving: []) == nil)
    }
}
