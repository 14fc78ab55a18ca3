internal import ArgumentParser

/// The help of the command or of a verb, from the parser's own data, in the language of the locale.
///
/// The parser's own page knows no language but English, and wraps lines at spaces and by counting characters; Chinese has no
/// spaces, and its characters are two columns wide. In English this gives what the parser gives, and then the examples.
struct HelpPage {
    private let command: JSON
    let examples: [Example]

    /// The page of the command itself, or of a verb.
    init?(_ verb: (any Verb.Type)?) {
        guard let root = JSON(reading: Pier._dumpHelp())?["command"] else { return nil }
        guard let verb else {
            command = root
            examples = Pier.verbs.compactMap { $0.examples.first }
            return
        }
        guard let found = root["subcommands"]?.array?.first(where: { $0["commandName"]?.string == verb._commandName })
        else { return nil }
        command = found
        examples = verb.examples
    }

    var abstract: String { command["abstract"]?.string ?? "" }
    var discussion: String { command["discussion"]?.string ?? "" }
    var arguments: [HelpArgument] {
        (command["arguments"]?.array ?? []).map(HelpArgument.init).filter(\.isShown)
    }
    /// The verbs of the command itself.
    var verbs: [(name: String, abstract: String)] {
        (command["subcommands"]?.array ?? []).compactMap { verb in
            guard verb["shouldDisplay"]?.bool != false, let name = verb["commandName"]?.string, name != "help" else {
                return nil
            }
            return (name, verb["abstract"]?.string ?? "")
        }
    }
    /// `pier serve`
    var name: String {
        let above = (command["superCommands"]?.array ?? []).compactMap(\.string)
        return (above + [command["commandName"]?.string ?? ""]).joined(separator: " ")
    }

    /// The page for a terminal of so many columns.
    func rendered(columns: Int) -> String {
        var parts: [String] = []
        let overview = [abstract, discussion].filter { !$0.isEmpty }
        parts.append(wrapped(text("OVERVIEW: ", "概述：") + overview.joined(separator: "\n\n"), to: columns) + "\n")
        parts.append(text("USAGE: ", "用法：") + usage + "\n")
        let (plain, options) = (arguments.filter { !$0.isNamed }, arguments.filter(\.isNamed))
        parts += [
            section(text("ARGUMENTS", "参数"), plain.map { ($0.label, $0.explanation) }, columns),
            section(text("OPTIONS", "选项"), options.map { ($0.label, $0.explanation) }, columns),
            section(
                text("SUBCOMMANDS", "子命令"),
                verbs.map { ($0.name, $0.abstract) }, columns),
        ].compactMap { $0 }
        if !verbs.isEmpty {
            parts.append(
                "  "
                    + text(
                        "See '\(name) help <subcommand>' for detailed help.", "用 '\(name) help <子命令>' 查看详细帮助。") + "\n")
        }
        let lines = examples.map { "  \($0.line)" }
        parts.append(text("EXAMPLES:", "示例：") + "\n" + lines.joined(separator: "\n"))
        return parts.joined(separator: "\n")
    }

    private var usage: String {
        let own = arguments.filter { !["version", "help"].contains($0.name) }
        if own.isEmpty { return "\(name) \(text("<subcommand>", "<子命令>"))" }
        // More than fit are listed below alone; the parser's English allows for twelve on one line, however long.
        let all = ([name] + own.map(\.synopsis)).joined(separator: " ")
        if own.count <= 12, Language.current == .english || all.columns < 70 { return all }
        let needed = own.filter { !$0.isNamed || !$0.isOptional }.map(\.synopsis)
        return ([name, text("[<options>]", "[<选项>]")] + needed).joined(separator: " ")
    }

    private static let labelColumns = 26

    private func section(_ title: String, _ entries: [(label: String, explanation: String)], _ columns: Int) -> String?
    {
        guard !entries.isEmpty else { return nil }
        var page = title + text(":", "：") + "\n"
        for (label, explanation) in entries {
            let label = "  " + label
            let explanation = wrapped(explanation, to: columns, indent: Self.labelColumns)
            if explanation.isEmpty {
                page += label + "\n"
            } else if label.columns < Self.labelColumns {
                // The indentation of the first line is as wide as what stands there instead.
                page += label + explanation.dropFirst(label.columns) + "\n"
            } else {
                page += label + "\n" + explanation + "\n"
            }
        }
        return page
    }
}

/// How a verb is used, at the end of its help.
struct Example {
    let command: String
    let explanation: String

    init(_ command: String, _ explanation: String) {
        self.command = command
        self.explanation = explanation
    }

    var line: String { command + String(repeating: " ", count: max(3, 47 - command.count)) + explanation }
}
