internal import ArgumentParser
internal import SocketCore

/// `pier manual [VERB]`: the manual page, for `make install`. The help does not speak of it.
struct Manual: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes the manual page of the command or of a verb, in mdoc(7).", shouldDisplay: false)

    @Argument(help: "The verb; none is the command itself.")
    var verb: String?

    func run() throws {
        let found = Pier.verbs.first { $0._commandName == verb }
        guard verb == nil || found != nil, let page = HelpPage(found) else {
            let words = verb.map { $0.escapedForTerminal() } ?? ""
            throw Failure(.usage, text("unknown verb \"\(words)\"", "未知的动词 \"\(words)\""))
        }
        try Standard.answer(ManualPage(page).text)
    }
}
