internal import ArgumentParser

/// The manual page of the command or of a verb, in mdoc(7), from the same data as its help.
struct ManualPage {
    private let page: HelpPage

    init(_ page: HelpPage) { self.page = page }

    /// The page's source.
    var text: String {
        let hyphenated = page.name.split(separator: " ").joined(separator: "-")
        let date = WallClock.now.utc
        var lines = [
            ".Dd \(date.month) \(date.day), \(date.year)", ".Dt \(hyphenated.uppercased()) 1", ".Os",
            ".Sh NAME", ".Nm \(hyphenated)", ".Nd \(lowered(page.abstract))", ".Sh SYNOPSIS", ".Nm \(page.name)",
        ]
        lines += page.arguments.filter { !["version", "help"].contains($0.name) }.map(synopsis)
        if !page.verbs.isEmpty { lines += [".Ar subcommand", ".Op Ar ..."] }
        lines.append(".Sh DESCRIPTION")
        let paragraphs = [page.abstract] + page.discussion.split(separator: "\n").map(String.init)
        lines += paragraphs.map(prose).joined(separator: [".Pp"])
        lines += list("The arguments are as follows:", page.arguments.filter { !$0.isNamed })
        lines += list("The options are as follows:", page.arguments.filter(\.isNamed))
        if !page.verbs.isEmpty {
            lines += [".Pp", "The subcommands are as follows:", ".Bl -tag -width Ds"]
            for verb in page.verbs { lines += [".It Cm \(verb.name)"] + prose(verb.abstract) }
            lines.append(".El")
        }
        lines.append(".Sh EXAMPLES")
        for (index, example) in page.examples.enumerated() {
            let what = example.explanation.prefix(1).uppercased() + example.explanation.dropFirst() + ":"
            lines += (index == 0 ? [] : [".Pp"]) + prose(what) + [".Dl \(escaped(example.command))"]
        }
        lines.append(".Sh SEE ALSO")
        let others = (["pier"] + Pier.verbs.map { "pier-\($0._commandName)" }).filter { $0 != hyphenated }.sorted()
        lines += others.enumerated().map { ".Xr \($1) 1\($0 == others.count - 1 ? "" : " ,")" }
        return lines.joined(separator: "\n") + "\n"
    }

    private func synopsis(_ argument: HelpArgument) -> String {
        let words = argument.isNamed ? macros(["--\(argument.name)"], argument) : macros([], argument)
        let more = argument.isRepeating ? " ..." : ""
        return argument.isOptional ? ".Op \(words)\(more)" : ".\(words)\(more)"
    }

    /// `Fl v , Fl -verbose Ar value`
    private func macros(_ names: [String], _ argument: HelpArgument) -> String {
        let flags = names.map { "Fl \(escaped(String($0.dropFirst())))" }.joined(separator: " , ")
        let value = argument.value.map { "Ar \(escaped(String($0.dropFirst().dropLast())))" }
        return [flags, value ?? ""].filter { !$0.isEmpty }.joined(separator: " ")
    }

    private func list(_ title: String, _ arguments: [HelpArgument]) -> [String] {
        guard !arguments.isEmpty else { return [] }
        let entries = arguments.flatMap { [".It \(macros($0.names, $0))"] + prose($0.explanation) }
        return [".Pp", title, ".Bl -tag -width Ds"] + entries + [".El"]
    }

    /// Lines of text, each sentence on a line of its own, as the formatter wants it.
    private func prose(_ text: String) -> [String] {
        var lines: [String] = []
        for sentence in text.replacing(". ", with: ".\n").split(separator: "\n") {
            lines += wrapped(String(sentence), to: 78).split(separator: "\n").map { escaped(String($0)) }
        }
        return lines
    }

    /// What the formatter would take for its own is taken from it.
    private func escaped(_ text: String) -> String {
        let plain = text.replacing("\\", with: "\\e")
        return plain.hasPrefix(".") || plain.hasPrefix("'") ? "\\&" + plain : plain
    }

    private func lowered(_ sentence: String) -> String {
        let whole = sentence.hasSuffix(".") ? sentence.dropLast() : sentence[...]
        return whole.prefix(1).lowercased() + whole.dropFirst()
    }
}
