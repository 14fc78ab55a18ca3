public import ArgumentParser
internal import SocketCore

/// The command: finds the verb, and turns whatever comes of it into an exit code.
public struct Pier: ParsableCommand {
    /// The version that `--version` tells.
    public static let version = "0.1.0"

    /// What the help says.
    public static let configuration = CommandConfiguration(
        commandName: "pier",
        abstract: "Serves and connects socket endpoints: TCP over IPv4 and IPv6, and Unix sockets.",
        discussion: """
            An endpoint is HOST:PORT, [IPv6]:PORT, :PORT, a path with a / in it, or a URL such as tcp://127.0.0.1:8520, \
            unix:///run/a.sock or unix://@abstract. A flag of a verb can stand in it too: 127.0.0.1:8520?backlog=5.

            Data and shown messages go to standard output, everything else to standard error.

            Exit codes: 0 done; 1 the network or the system failed; 2 the command or an endpoint is wrong; 3 timed out; \
            130 and 143 ended by a signal.
            """,
        version: version,
        subcommands: [Serve.self, Connect.self])

    /// For the parser.
    public init() {}

    /// Runs the command with the process's arguments, and ends the process.
    public static func run() -> Never {
        Standard.prepare()
        do {
            try checkVerb()
            var command = try parseAsRoot()
            try command.run()
            Standard.end(.done)
        } catch let status as ExitStatus {
            Standard.end(status)
        } catch let failure as Failure {
            failure.tell()
            Standard.end(failure.status)
        } catch {
            // Help and the version are answers; anything else the parser says is about the command's words.
            if exitCode(for: error).isSuccess {
                Standard.write(helpful(fullMessage(for: error)) + "\n", to: 1)
                Standard.end(.done)
            }
            Failure(.usage, sentence(for: error)).tell()
            Standard.end(.usage)
        }
    }

    /// What the parser found wrong, and what would be right: its own words do not say what a duration looks like.
    private static func sentence(for error: any Error) -> String {
        let said = message(for: error).split(separator: "\n").first.map(String.init) ?? "the command is wrong"
        let verb = CommandLine.arguments.dropFirst().first { word in
            configuration.subcommands.contains { $0._commandName == word }
        }
        let hints = [
            TimeSpan.hint: ["--idle-timeout", "--grace", "--timeout"],
            Count.hint: ["--loops", "--backlog", "--receive-size", "--max-clients"],
        ]
        let hint = hints.first { $0.value.contains { said.contains("'\($0) ") } }?.key
        let advice = hint ?? "see pier \(verb.map { "\($0) " } ?? "")--help"
        let sentences = (said.hasSuffix(".") ? said.dropLast() : said[...]).split(separator: ". ").map {
            $0.prefix(1).lowercased() + $0.dropFirst()
        }
        return "\(sentences.joined(separator: "; ").escapedForTerminal()); \(hint == nil ? advice : "it is " + advice)"
    }

    /// A word that is no verb gets the nearest one; the parser would only call it unexpected.
    private static func checkVerb() throws(Failure) {
        let verbs = configuration.subcommands.map { $0._commandName } + ["help"]
        guard let word = CommandLine.arguments.dropFirst().first, !word.hasPrefix("-"), !verbs.contains(word) else {
            return
        }
        let hint =
            nearest(to: word, in: verbs).map { "did you mean \($0)?" } ?? "there are \(verbs.joined(separator: ", "))"
        throw Failure(.usage, "unknown verb \"\(word.escapedForTerminal())\"; \(hint)")
    }

    /// The help of a verb ends with its examples, which the parser has no place for.
    private static func helpful(_ message: String) -> String {
        let verbs: [any Verb.Type] = [Serve.self, Connect.self]
        for verb in verbs where message == helpMessage(for: verb) {
            return message + "\nEXAMPLES:\n" + verb.examples.map { "  \($0)" }.joined(separator: "\n")
        }
        if message == helpMessage() {
            return message + "\n\nEXAMPLES:\n"
                + verbs.compactMap { $0.examples.first.map { "  \($0)" } }.joined(separator: "\n")
        }
        return message
    }
}

/// A verb of the command.
protocol Verb: ParsableCommand {
    /// What its help ends with.
    static var examples: [String] { get }
}
