/// One argument, option or flag of the parser's data.
struct HelpArgument {
    let json: JSON

    var isShown: Bool { json["shouldDisplay"]?.bool != false }
    var isNamed: Bool { json["kind"]?.string != "positional" }
    var isOptional: Bool { json["isOptional"]?.bool == true }
    var isRepeating: Bool { json["isRepeating"]?.bool == true }
    var name: String { json["preferredName"]?["name"]?.string ?? valueName }
    private var valueName: String { json["valueName"]?.string ?? "" }

    /// `-h`, `--help`: short ones first.
    var names: [String] {
        let names = (json["names"]?.array ?? []).map { name in
            (name["kind"]?.string == "long" ? "--" : "-") + (name["name"]?.string ?? "")
        }
        return names.filter { !$0.hasPrefix("--") } + names.filter { $0.hasPrefix("--") }
    }

    /// `<endpoints>`, or for an option that takes one, `<value>`; nil for a flag.
    var value: String? { json["kind"]?.string == "flag" ? nil : "<\(valueName)>" }

    /// As it stands in front of its explanation.
    var label: String {
        guard isNamed else { return value ?? "" }
        return names.joined(separator: ", ") + (value.map { " " + $0 } ?? "")
    }

    /// As it stands in the usage.
    var synopsis: String {
        var words = isNamed ? "--\(name)" + (value.map { " " + $0 } ?? "") : value ?? ""
        if isRepeating { words += " ..." }
        return isOptional ? "[\(words)]" : words
    }

    /// What it is for, the values that it may have, and the one that it has otherwise.
    var explanation: String {
        // These two are the parser's own.
        let abstract =
            switch name {
            case "version": text("Show the version.", "显示版本。")
            case "help": text("Show help information.", "显示帮助。")
            default: json["abstract"]?.string ?? ""
            }
        var facts: [String] = []
        if let values = json["allValues"]?.array?.compactMap(\.string) {
            facts.append(text("values: ", "可选值：") + values.joined(separator: text(", ", "、")))
        }
        if let value = json["defaultValue"]?.string { facts.append(text("default: ", "默认：") + value) }
        if facts.isEmpty { return abstract }
        let all = facts.joined(separator: text("; ", "；"))
        return text("\(abstract) (\(all))", "\(abstract)（\(all)）")
    }
}
