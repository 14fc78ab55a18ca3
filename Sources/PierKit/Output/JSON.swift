internal import SocketCore

/// A value of JSON (RFC 8259), as it is written and read here.
indirect enum JSON: Equatable {
    case null
    case bool(Bool)
    /// As it is written.
    case number(String)
    case string(String)
    case array([JSON])
    /// In the order in which its members are written.
    case object([Member])

    struct Member: Equatable {
        let name: String
        let value: JSON
    }

    static func integer(_ number: Int) -> JSON { .number(String(number)) }

    /// Seconds with six digits behind the point.
    static func seconds(_ nanoseconds: UInt64) -> JSON {
        let micros = String(nanoseconds / 1000 % 1_000_000)
        return .number("\(nanoseconds / 1_000_000_000).\(String(repeating: "0", count: 6 - micros.count))\(micros)")
    }

    /// The value of a member of an object.
    subscript(_ name: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    var string: String? { if case .string(let text) = self { text } else { nil } }
    var array: [JSON]? { if case .array(let values) = self { values } else { nil } }
    var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
}

// MARK: - Writing

extension JSON {
    /// The value on one line.
    var text: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .number(let digits): digits
        case .string(let text): Self.quoted(text)
        case .array(let values): "[\(values.map(\.text).joined(separator: ","))]"
        case .object(let members): "{\(Self.text(of: members))}"
        }
    }

    /// Members without the braces around them.
    static func text(of members: [Member]) -> String {
        members.map { "\(quoted($0.name)):\($0.value.text)" }.joined(separator: ",")
    }

    /// What JSON cannot hold as it is, and what a terminal would act on, is escaped; all of that has four digits.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case _ where scalar.isUnsafeForTerminal:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
