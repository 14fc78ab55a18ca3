// The places that are no socket's address: a program, a file, and what this process was started with.

extension EndpointParser {
    /// `exec:COMMAND`: all of the rest is the command. Nil for an endpoint of another kind.
    func command() throws(EndpointError) -> Endpoint.Command? {
        let scheme = Array("exec:".utf8)
        guard bytes.starts(with: scheme) else { return nil }
        var splitter = CommandSplitter(bytes[scheme.count...])
        do throws(CommandSplitter.Fault) {
            guard let command = Endpoint.Command(try splitter.words()) else {
                throw CommandSplitter.Fault(position: scheme.count, reason: "the name of a program is missing")
            }
            return command
        } catch {
            throw self.error(error.position, error.reason)
        }
    }

    /// What stands behind one of the other schemes; nil where addresses do.
    func placeElsewhere(
        _ place: ArraySlice<UInt8>, _ transport: Endpoint.Transport
    ) throws(EndpointError) -> Endpoint.Place? {
        switch transport {
        case .tcp, .udp, .unix, .unixDatagram, .program: nil
        case .file: .file(try filePlace(place))
        case .descriptor: .descriptor(try descriptorPlace(place))
        case .inherited: .inherited(name: try inheritedPlace(place))
        }
    }

    /// `file:///absolute` or `file:/absolute`, `file:relative`.
    private func filePlace(_ place: ArraySlice<UInt8>) throws(EndpointError) -> Endpoint.Path {
        var written = place
        if place.starts(with: "//".utf8) {
            written = place.dropFirst(2)
            guard written.first == UInt8(ascii: "/") else {
                throw error(
                    written.startIndex, "a path after file:// starts with /; for a relative path write file:PATH")
            }
        }
        let bytes = try unescaped(written)
        guard !bytes.isEmpty else { throw error(written.startIndex, "a path is missing") }
        guard let path = Endpoint.Path(bytes: bytes) else {
            throw error(
                written.startIndex,
                "\(bytes.count) bytes are too long: a file's path has at most \(Endpoint.Path.longest)")
        }
        return path
    }

    private func descriptorPlace(_ digits: ArraySlice<UInt8>) throws(EndpointError) -> CInt {
        guard let number = strictNumber(digits), let descriptor = CInt(exactly: number) else {
            throw error(
                digits.startIndex,
                "a descriptor's number is missing; write fd:N with a decimal number, such as fd:3, without a sign or leading zeros"
            )
        }
        return descriptor
    }

    /// A name as `FileDescriptorName=` gives it: `systemd.socket(5)`.
    private func inheritedPlace(_ place: ArraySlice<UInt8>) throws(EndpointError) -> String? {
        let name = try unescaped(place)
        guard name.count <= Self.longestInheritedName else {
            throw error(
                place.startIndex,
                "\(name.count) characters are too long: a socket's name has at most \(Self.longestInheritedName)")
        }
        let isPlain = name.allSatisfy { (0x20...0x7e).contains($0) && $0 != UInt8(ascii: ":") }
        guard isPlain else {
            throw error(place.startIndex, "a socket's name has the characters of ASCII, without colons")
        }
        return name.isEmpty ? nil : String(decoding: name, as: UTF8.self)
    }

    private static let longestInheritedName = 255

    /// Where a port would be no number, the word before it is no host's name, but a scheme: without its `//`, or with a letter
    /// wrong.
    func checkScheme(_ host: ArraySlice<UInt8>, before rest: ArraySlice<UInt8>) throws(EndpointError) {
        let isWord = host.allSatisfy {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) || $0 == UInt8(ascii: "-")
        }
        let isNumber = rest.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard host.startIndex == 0, isWord, !isNumber else { return }
        let word = String(decoding: host, as: UTF8.self)
        let known = Endpoint.Transport.allCases.map(\.rawValue)
        if known.contains(word) {
            let place = String(decoding: rest, as: UTF8.self).escapedForTerminal()
            throw error(rest.startIndex, "// is missing after the scheme; write \(word)://\(place)")
        }
        guard let near = nearest(to: word.lowercased(), in: known) else { return }
        if near == word.lowercased() { throw error(0, "schemes are written in lower case: \(near)") }
        throw error(0, "unknown scheme \"\(word)\"; did you mean \"\(near)\"?")
    }
}
