#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Reads the grammar of `Endpoint`. It works on bytes and keeps the position of each, so that an error can point.
struct EndpointParser {
    let text: String
    let bytes: [UInt8]
    let keys: [String]

    init(_ text: String, keys: [String]) {
        self.text = text
        self.bytes = Array(text.utf8)
        self.keys = keys
    }

    /// `[scheme://]place[?key=value&…]`
    mutating func parseEndpoint() throws(EndpointError) -> (Endpoint.Transport, Endpoint.Place, [Endpoint.Parameter]) {
        guard !bytes.isEmpty else {
            throw error(0, "it is empty; write HOST:PORT, :PORT or a path such as /run/a.sock")
        }
        if let command = try command() { return (.program, .program(command), []) }
        let mark = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.endIndex
        let (transport, start) = try scheme(before: mark)
        let place = bytes[start..<mark]
        let found: Endpoint.Place
        if let transport, transport.isUnix {
            found = .address(.unix(try unixPlace(place)))
        } else if let transport, let elsewhere = try placeElsewhere(place, transport) {
            return (transport, elsewhere, try parameters(from: mark, and: transport == .file ? Endpoint.fileKeys : []))
        } else if place == [UInt8(ascii: "-")], transport == nil {
            found = .standardStreams
        } else if transport == nil, isPath(place) {
            found = .address(.unix(try unixPlace(place)))
            return (.unix, found, try parameters(from: mark))
        } else {
            found = try ipPlace(place)
        }
        return (transport ?? .tcp, found, try parameters(from: mark, and: transport == .udp ? Endpoint.udpKeys : []))
    }

    /// A place that needs no resolving.
    mutating func parseAddress() throws(EndpointError) -> SocketAddress {
        guard !bytes.isEmpty else { throw error(0, "it is empty; write ADDRESS:PORT or a path such as /run/a.sock") }
        if bytes[0] == UInt8(ascii: "@") || isPath(bytes[...]) { return .unix(try unixPlace(bytes[...])) }
        switch try ipPlace(bytes[...]) {
        case .address(let address): return address
        case .port: throw error(0, "a port alone is no address; write an address before the colon")
        case .name(let name, _): throw error(0, "\(name) is a name, and an address is needed here")
        case .standardStreams, .program, .file, .descriptor, .inherited:
            throw error(0, "standard input and output have no address")
        }
    }

    // MARK: The scheme

    private func scheme(before end: Int) throws(EndpointError) -> (Endpoint.Transport?, Int) {
        let head = bytes[..<end]
        if isPath(head) { return (nil, 0) }
        guard let colon = head.firstIndex(of: UInt8(ascii: ":")) else { return (nil, 0) }
        let word = String(decoding: head[..<colon], as: UTF8.self)
        let hasSlashes = head[(colon + 1)...].starts(with: "//".utf8)
        let transport = Endpoint.Transport(rawValue: word)
        if let transport, transport.isUnix {
            // unix:///absolute, unix://@abstract, unix:relative
            guard hasSlashes else { return (transport, colon + 1) }
            let rest = head[(colon + 3)...]
            guard rest.first == UInt8(ascii: "/") || rest.first == UInt8(ascii: "@") else {
                throw error(
                    colon + 3,
                    "a path after \(word):// starts with /; for a relative path write \(word):PATH, for an abstract name \(word)://@NAME"
                )
            }
            return (transport, colon + 3)
        }
        if let transport, !transport.hasAddresses { return (transport, colon + 1) }
        guard hasSlashes else { return (nil, 0) }
        if let transport { return (transport, colon + 3) }
        let known = Endpoint.Transport.allCases.map(\.rawValue)
        let lowered = word.lowercased()
        if known.contains(lowered) { throw error(0, "schemes are written in lower case: \(lowered)") }
        throw error(0, "unknown scheme \"\(word.escapedForTerminal())\"; \(hint(lowered, known))")
    }

    // MARK: Unix places

    /// What is taken for a path without a scheme.
    private func isPath(_ place: ArraySlice<UInt8>) -> Bool {
        place.first == UInt8(ascii: "/") || place.starts(with: "./".utf8) || place.starts(with: "../".utf8)
    }

    private func unixPlace(_ place: ArraySlice<UInt8>) throws(EndpointError) -> UnixAddress {
        let isAbstract = place.first == UInt8(ascii: "@")
        let written = isAbstract ? place.dropFirst() : place
        var name = try unescaped(written)
        // The mark that printing puts before a relative path; the path is the same without it, and equal to what was printed.
        if !isAbstract, name.starts(with: "./".utf8), name.count > 2, name[2] != UInt8(ascii: "/") {
            name.removeFirst(2)
        }
        guard !name.isEmpty else {
            throw error(place.startIndex, isAbstract ? "a name is missing behind the @" : "a path is missing")
        }
        guard name.count <= UnixAddress.longestPath else {
            throw error(
                place.startIndex,
                "\(name.count) bytes are too long: a Unix socket's path or name has at most \(UnixAddress.longestPath)")
        }
        let address = isAbstract ? UnixAddress(abstractBytes: name) : UnixAddress(pathBytes: name)
        guard let address else { throw error(place.startIndex, "it is no path of a Unix socket") }
        return address
    }

    /// Undoes `%XX`. A zero byte is refused: the kernel would take it for the end.
    func unescaped(_ written: ArraySlice<UInt8>) throws(EndpointError) -> [UInt8] {
        var plain: [UInt8] = []
        var index = written.startIndex
        while index < written.endIndex {
            var byte = written[index]
            if byte == UInt8(ascii: "%") {
                guard index + 2 < written.endIndex, let high = hexValue(written[index + 1]),
                    let low = hexValue(written[index + 2])
                else { throw error(index, "a % is followed by two hexadecimal digits; write a % itself as %25") }
                byte = high << 4 | low
                if byte == 0 { throw error(index, "a zero byte cannot be part of it") }
                index += 2
            }
            if byte == 0 { throw error(index, "a zero byte cannot be part of it") }
            plain.append(byte)
            index += 1
        }
        return plain
    }

    // MARK: IP places

    private func ipPlace(_ written: ArraySlice<UInt8>) throws(EndpointError) -> Endpoint.Place {
        let place = withoutSlash(written)
        if place.first == UInt8(ascii: "[") { return .address(try ipv6Place(place)) }
        if let address = try bareIPv6Place(place) { return .address(address) }
        guard let colon = place.firstIndex(of: UInt8(ascii: ":")) else {
            if place.first == UInt8(ascii: "@") {
                throw error(place.startIndex, "an abstract name is written unix://@NAME")
            }
            if strictNumber(place) != nil {
                throw error(
                    place.startIndex, "a port alone is written with a colon before it; a Unix path needs a / in it")
            }
            throw error(place.endIndex, "a port is missing; write HOST:PORT, or a path with a / in front")
        }
        let host = place[..<colon]
        let rest = place[(colon + 1)...]
        let whole = place.prefix { $0 != UInt8(ascii: "%") }
        if rest.contains(UInt8(ascii: ":")), IPv6Address(String(decoding: whole, as: UTF8.self)) != nil {
            let address = String(decoding: place, as: UTF8.self).escapedForTerminal()
            throw error(place.startIndex, "an IPv6 address stands in brackets, before its port: [\(address)]:PORT")
        }
        try checkScheme(host, before: rest)
        if rest.contains(UInt8(ascii: ":")) {
            throw error(
                colon + 1 + (rest.firstIndex(of: UInt8(ascii: ":")) ?? 0) - rest.startIndex,
                "a second colon; an IPv6 address stands in brackets: [ADDRESS]:PORT")
        }
        let port = try self.port(rest)
        if host.isEmpty { return .port(port) }
        let name = String(decoding: host, as: UTF8.self)
        if let address = IPv4Address(name) { return .address(.ipv4(address, port: port)) }
        return .name(try checkedName(host), port: port)
    }

    private func ipv6Place(_ place: ArraySlice<UInt8>) throws(EndpointError) -> SocketAddress {
        guard let close = place.firstIndex(of: UInt8(ascii: "]")) else {
            throw error(place.startIndex, "the bracket is not closed; write [ADDRESS]:PORT")
        }
        let inside = place[(place.startIndex + 1)..<close]
        let (digits, written) = Self.addressAndZone(inside)
        guard let address = IPv6Address(digits) else {
            throw error(place.startIndex + 1, "\"\(digits.escapedForTerminal())\" is no IPv6 address")
        }
        let zone = try written.map { (written) throws(EndpointError) in try self.zone(written) } ?? 0
        guard place[(close + 1)...].first == UInt8(ascii: ":") else {
            throw error(close + 1, "a port is missing; write [ADDRESS]:PORT")
        }
        return Self.place(address, zone, try self.port(place[(close + 2)...]))
    }

    /// An IPv6 address with its port and without brackets; nil where it could be read otherwise: in `::1:80` the last colon
    /// may be the address's. A zone, eight groups or an IPv4 address at the end leave no doubt.
    private func bareIPv6Place(_ place: ArraySlice<UInt8>) throws(EndpointError) -> SocketAddress? {
        guard let colon = place.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let (digits, zone) = Self.addressAndZone(place[..<colon])
        guard let address = IPv6Address(digits) else { return nil }
        if zone == nil, IPv6Address(String(decoding: place, as: UTF8.self)) != nil { return nil }
        let number = try zone.map { (written) throws(EndpointError) in try self.zone(written) } ?? 0
        return Self.place(address, number, try port(place[(colon + 1)...]))
    }

    /// The digits of an IPv6 address, and what is written after its `%`.
    private static func addressAndZone(_ written: ArraySlice<UInt8>) -> (digits: String, zone: ArraySlice<UInt8>?) {
        let percent = written.firstIndex(of: UInt8(ascii: "%"))
        let digits = String(decoding: written[..<(percent ?? written.endIndex)], as: UTF8.self)
        return (digits, percent.map { written[($0 + 1)...] })
    }

    private static func place(_ address: IPv6Address, _ zone: UInt32, _ port: UInt16) -> SocketAddress {
        if let mapped = address.mappedIPv4 { return .ipv4(mapped, port: port) }
        return .ipv6(address, port: port, zone: zone)
    }

    /// The place without the `/` that URLs often have after the port.
    private func withoutSlash(_ place: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard place.last == UInt8(ascii: "/"), let last = place.dropLast().last, digits.contains(last) else {
            return place
        }
        return place.dropLast()
    }

    /// An interface by name or number; the percent sign before it may be written `%25`, as in a URL (RFC 6874).
    private func zone(_ written: ArraySlice<UInt8>) throws(EndpointError) -> UInt32 {
        var name = written
        if name.starts(with: "25".utf8), name.count > 2 { name = name.dropFirst(2) }
        let plain = String(decoding: try unescaped(name), as: UTF8.self)
        guard !plain.isEmpty else {
            throw error(written.startIndex, "an interface's name or number is missing behind the %")
        }
        if let number = interfaceNumber(plain) { return number }
        throw error(written.startIndex, "this machine has no interface \"\(plain.escapedForTerminal())\"")
    }

    private func port(_ digits: ArraySlice<UInt8>) throws(EndpointError) -> UInt16 {
        guard !digits.isEmpty else {
            throw error(digits.startIndex, "a port is missing; write a number from 0 to 65535")
        }
        guard let number = strictNumber(digits) else {
            let text = String(decoding: digits, as: UTF8.self)
            throw error(
                digits.startIndex,
                "\"\(text.escapedForTerminal())\" is no port; write a number from 0 to 65535, without a sign or leading zeros"
            )
        }
        guard let port = UInt16(exactly: number) else {
            throw error(digits.startIndex, "port \(number) is too large; the largest is 65535")
        }
        return port
    }

    /// A host name by RFC 1123 (and `_`, which some use), and nothing that C libraries would take for an odd IPv4 address.
    private func checkedName(_ host: ArraySlice<UInt8>) throws(EndpointError) -> String {
        for index in host.indices {
            switch host[index] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                continue
            case 0x80...:
                throw error(index, "a name in other letters is written in its ASCII form, xn--…")
            default:
                throw error(index, "a host's name has letters, digits, hyphens and dots only")
            }
        }
        let labels = host.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let last = labels.last { !$0.isEmpty } ?? []
        let isHexadecimal = last.starts(with: "0x".utf8) || last.starts(with: "0X".utf8)
        if last.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) || isHexadecimal {
            throw error(
                host.startIndex, "an IPv4 address is four numbers from 0 to 255, without leading zeros, joined by dots")
        }
        let isTooLong = host.count > 253 || labels.contains { $0.count > 63 }
        if isTooLong {
            throw error(host.startIndex, "it is too long: a name has at most 253 characters, 63 between dots")
        }
        // A name may end with the root's dot.
        if labels.dropLast().contains([]) || host.last == UInt8(ascii: ".") && labels.count == 1 {
            throw error(host.startIndex, "there is nothing between two dots of the name")
        }
        return String(decoding: host, as: UTF8.self)
    }

    // MARK: Parameters

    private func parameters(from mark: Int, and more: [String] = []) throws(EndpointError) -> [Endpoint.Parameter] {
        guard mark < bytes.endIndex else { return [] }
        let keys = self.keys + more
        var found: [Endpoint.Parameter] = []
        for pair in bytes[(mark + 1)...].split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false) {
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            let key = String(decoding: pair[..<equals], as: UTF8.self)
            guard keys.contains(key) else {
                throw error(pair.startIndex, "unknown key \"\(key.escapedForTerminal())\"; \(hint(key, keys))")
            }
            guard equals < pair.endIndex else { throw error(equals, "a value is missing; write \(key)=VALUE") }
            if found.contains(where: { $0.key == key }) { throw error(pair.startIndex, "\(key) is given twice") }
            let value = String(decoding: try unescaped(pair[(equals + 1)...]), as: UTF8.self)
            found.append(Endpoint.Parameter(key: key, value: value))
        }
        return found
    }

    // MARK: Errors

    func hint(_ word: String, _ known: [String]) -> Phrase {
        if let near = nearest(to: word, in: known) { return "did you mean \"\(near)\"?" }
        return known.isEmpty ? "there are none here" : "there are \(known.joined(separator: ", "))"
    }

    func error(_ position: Int, _ reason: Phrase) -> EndpointError {
        EndpointError(text: text, position: position, reason: reason)
    }
}

/// Decimal digits alone, no sign, no leading zero; nil for anything else and for more than a UInt64 holds.
package func strictNumber(_ digits: some Collection<UInt8>) -> UInt64? {
    guard let first = digits.first, first != UInt8(ascii: "0") || digits.count == 1 else { return nil }
    var value: UInt64 = 0
    for digit in digits {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, carry) = product.addingReportingOverflow(UInt64(digit - UInt8(ascii: "0")))
        if overflow || carry { return nil }
        value = sum
    }
    return value
}
