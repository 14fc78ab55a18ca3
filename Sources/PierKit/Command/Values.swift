public import ArgumentParser
internal import SocketCore
public import Sockets

// The values that flags take, and that endpoints' parameters of the same names take.

/// A duration: `2` (seconds), `500ms`, `1.5s`, `5m`, `1m30s`; or `off`.
struct TimeSpan: ExpressibleByArgument, Equatable {
    /// Nil is off.
    let duration: Duration?

    init(_ duration: Duration?) { self.duration = duration }

    init?(argument: String) {
        if argument == "off" {
            duration = nil
            return
        }
        guard let duration = Self.duration(of: Array(argument.utf8)[...]) else { return nil }
        self.duration = duration
    }

    /// The units, the longest first.
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000),
    ]

    /// Numbers with their units, each shorter than the one before; or seconds alone. The last number may have a fraction.
    private static func duration(of text: ArraySlice<UInt8>) -> Duration? {
        var (rest, units, total) = (text, units[...], Duration.zero)
        while true {
            guard let number = strictNumber(takeDigits(of: &rest)), number <= 1_000_000_000 else { return nil }
            var fraction: ArraySlice<UInt8> = []
            if rest.first == UInt8(ascii: ".") {
                rest = rest.dropFirst()
                fraction = takeDigits(of: &rest)
                guard (1...6).contains(fraction.count) else { return nil }
            }
            let name = rest.prefix { !isDigit($0) }
            rest = rest.dropFirst(name.count)
            guard rest.isEmpty || fraction.isEmpty else { return nil }
            let isSeconds = name.isEmpty && units.count == Self.units.count && rest.isEmpty
            let word = isSeconds ? "s" : String(decoding: name, as: UTF8.self)
            guard let index = units.firstIndex(where: { $0.name == word }) else { return nil }
            // An hour in nanoseconds times a fraction of six digits fits into 63 bits.
            let unit = units[index].nanoseconds
            var part = Int64(0)
            let scale = fraction.reduce(Int64(1)) { scale, _ in scale * 10 }
            for digit in fraction { part = part * 10 + Int64(digit - UInt8(ascii: "0")) }
            total += .nanoseconds(unit) * Int(number) + .nanoseconds(unit * part / scale)
            if rest.isEmpty { return total }
            units = units[(index + 1)...]
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func takeDigits(of rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let digits = rest.prefix(while: isDigit)
        rest = rest.dropFirst(digits.count)
        return digits
    }

    static let hint = text(
        "a time, such as 2 (seconds), 500ms, 1.5s or 1m30s, or off", "时间，例如 2（秒）、500ms、1.5s 或 1m30s，或者 off")

    var defaultValueDescription: String {
        guard let duration else { return "off" }
        let seconds = duration.components.seconds
        return seconds % 60 == 0 && seconds > 0 ? "\(seconds / 60)m" : "\(seconds)s"
    }
}

/// A duration above zero; or `off`. For an idle time, of which zero would end everything at once.
struct PositiveSpan: ExpressibleByArgument, Equatable {
    private let span: TimeSpan

    init(_ duration: Duration?) { span = TimeSpan(duration) }

    init?(argument: String) {
        guard let span = TimeSpan(argument: argument), span.duration != .zero else { return nil }
        self.span = span
    }

    /// Nil is off.
    var duration: Duration? { span.duration }

    static let hint = text(
        "a time above 0, such as 2 (seconds), 500ms, 1.5s or 1m30s, or off",
        "大于 0 的时间，例如 2（秒）、500ms、1.5s 或 1m30s，或者 off")

    var defaultValueDescription: String { span.defaultValueDescription }
}

/// A whole number above zero, strictly written.
struct Count: ExpressibleByArgument, Equatable {
    let value: Int

    init(_ value: Int) { self.value = value }

    init?(argument: String) {
        guard let number = strictNumber(argument.utf8), let value = Int(exactly: number), value > 0, value <= 1 << 30
        else {
            return nil
        }
        self.value = value
    }

    static let hint = text("a whole number above 0, at most 1073741824", "大于 0 的整数，最大 1073741824")

    var defaultValueDescription: String { String(value) }
}

/// A number of bytes above zero, strictly written; a stream may have more of them than anything else has of its kind.
struct ByteCount: ExpressibleByArgument, Equatable {
    let value: Int

    init?(argument: String) {
        guard let number = strictNumber(argument.utf8), let value = Int(exactly: number), value > 0 else { return nil }
        self.value = value
    }

    static let hint = text("a whole number above 0 (of 63 bits)", "大于 0 的整数（63 位）")
}

/// A text of at least one byte, in which a backslash makes others of some characters: `\n`, `\r`, `\t`, `\0`, `\xHH`, `\\`.
struct EscapedText: ExpressibleByArgument, Equatable {
    let bytes: [UInt8]

    init?(argument: String) {
        var bytes: [UInt8] = []
        var rest = Array(argument.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            guard let escaped = Self.escaped(&rest) else { return nil }
            bytes.append(escaped)
        }
        if bytes.isEmpty { return nil }
        self.bytes = bytes
    }

    /// The byte that stands behind a backslash.
    private static func escaped(_ rest: inout ArraySlice<UInt8>) -> UInt8? {
        switch rest.popFirst() {
        case UInt8(ascii: "n"): return 0x0a
        case UInt8(ascii: "r"): return 0x0d
        case UInt8(ascii: "t"): return 0x09
        case UInt8(ascii: "0"): return 0
        case UInt8(ascii: "\\"): return UInt8(ascii: "\\")
        case UInt8(ascii: "x"):
            let digits = rest.prefix(2).compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
            guard digits.count == 2 else { return nil }
            rest = rest.dropFirst(2)
            return UInt8(digits[0] << 4 | digits[1])
        default: return nil
        }
    }

    static let hint = text(
        "a text of at least one byte, in which \\n, \\r, \\t, \\0, \\xHH and \\\\ stand for one byte each",
        "至少一个字节的文字，其中 \\n、\\r、\\t、\\0、\\xHH 和 \\\\ 各代表一个字节")
}

/// How often something is tried again: `0`, `3` or `forever`.
struct Retries: ExpressibleByArgument, Equatable {
    /// Nil is without end.
    private let most: Int?

    init(_ most: Int?) { self.most = most }

    init?(argument: String) {
        if argument == "forever" {
            most = nil
            return
        }
        guard let number = strictNumber(argument.utf8), let value = Int(exactly: number), value <= 1 << 30 else {
            return nil
        }
        most = value
    }

    /// Whether one more try may follow, after so many.
    func allows(_ done: Int) -> Bool { most.map { done < $0 } ?? true }

    static let hint = text("a whole number, or forever", "一个整数，或者 forever")

    var defaultValueDescription: String { most.map { String($0) } ?? "forever" }
}

/// How long to wait between tries, at the least and at the most: `100ms..10s`.
struct Backoff: ExpressibleByArgument, Equatable {
    let shortest: Duration
    let longest: Duration

    init() { (shortest, longest) = (.milliseconds(100), .seconds(10)) }

    init?(argument: String) {
        guard let dots = argument.firstRange(of: ".."),
            let shortest = TimeSpan(argument: String(argument[..<dots.lowerBound]))?.duration,
            let longest = TimeSpan(argument: String(argument[dots.upperBound...]))?.duration, shortest > .zero,
            shortest <= longest
        else { return nil }
        (self.shortest, self.longest) = (shortest, longest)
    }

    static let hint = text(
        "two durations, the shorter one first, such as 100ms..10s", "两段时间，短的在前，例如 100ms..10s")

    var defaultValueDescription: String { "100ms..10s" }
}

/// An address of this machine to come from, with a port or without: `127.0.0.9`, `127.0.0.9:4000`, `::1`, `[::1]:4000`.
struct Source: ExpressibleByArgument, Equatable {
    let address: SocketAddress

    init?(argument: String) {
        // Without a port, an IPv6 address needs no brackets.
        let isBare = argument.contains(":") && !argument.hasPrefix("[")
        let withPort = (isBare ? "[\(argument)]" : argument) + ":0"
        guard let address = (try? SocketAddress(argument)) ?? (try? SocketAddress(withPort)), address.ipFamily != nil
        else { return nil }
        self.address = address
    }

    static let hint = text(
        "an address of this machine, such as 127.0.0.9, ::1, 127.0.0.9:4000 or [::1]:4000",
        "本机的地址，例如 127.0.0.9、::1、127.0.0.9:4000 或 [::1]:4000")
}

/// How messages are shown.
enum Show: String, CaseIterable, ExpressibleByArgument {
    case text, hex, none
}

/// How waiting is done.
enum Model: String, CaseIterable, ExpressibleByArgument {
    case blocking, threads, tasks, callbacks
}

extension Bool {
    static let hint = text("true or false", "true 或 false")
}

extension Duplex: ExpressibleByArgument {}
extension FileAccess: ExpressibleByArgument {}
extension Framing: ExpressibleByArgument {}

/// A parameter's value for a flag, or the flag's own.
func value<V: ExpressibleByArgument>(
    of key: String, in endpoint: Endpoint, else flag: V, _ hint: String
) throws(Failure) -> V {
    try value(of: key, in: endpoint, hint) ?? flag
}

/// A parameter's value for a flag; nil where it is not there.
func value<V: ExpressibleByArgument>(
    of key: String, in endpoint: Endpoint, _ hint: String
) throws(Failure) -> V? {
    guard let parameter = endpoint[key] else { return nil }
    guard let value = V(argument: parameter.value) else {
        let wrong = parameter.value.escapedForTerminal()
        throw Failure(
            .usage,
            text("\(endpoint): \(key) is \(hint), not \"\(wrong)\"", "\(endpoint)：\(key) 是\(hint)，不能是 \"\(wrong)\""))
    }
    return value
}

extension CaseIterable where Self: RawRepresentable, RawValue == String {
    /// The words for an error to offer.
    static var hint: String {
        let words = allCases.map(\.rawValue)
        return text("one of \(words.joined(separator: ", "))", "其中之一：\(words.joined(separator: "、"))")
    }
}

/// An endpoint with the verb's keys, or the failure to tell.
func parsedEndpoint(_ text: String, keys: [String]) throws(Failure) -> Endpoint {
    do throws(EndpointError) {
        return try Endpoint(text, keys: keys)
    } catch {
        throw Failure(.usage, error.said)
    }
}

/// Throws what is wrong with the words of an endpoint to listen on, before anything is opened.
func checkForListening(_ endpoint: Endpoint) throws(Failure) {
    guard endpoint.transport.hasAddresses, endpoint.place != .standardStreams else { return }
    do throws(SocketError) {
        if endpoint.transport.carriesDatagrams {
            try DatagramSocket.check(endpoint)
        } else {
            try Listener.check(endpoint)
        }
    } catch {
        throw Failure(error)
    }
}

extension Duration {
    /// Until somebody ends the process: 34 years, which no sum of times overflows.
    static let forEver = Duration.seconds(1 << 30)
}
