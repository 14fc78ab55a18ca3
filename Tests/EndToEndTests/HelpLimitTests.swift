import Testing
import TestSupport

/// Line 11 of the contract: every limit is in the help, with what it is where nobody says otherwise.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct HelpLimitTests {
    /// The help as one line.
    private func help(descriptors: Int, _ environment: [String: String] = [:]) async throws -> String {
        let launcher = ["sh", "-c", "ulimit -n \(descriptors) && exec \"$0\" \"$@\""]
        let page = try await pier("serve", "--help", launcher: launcher, environment: environment).output
        return page.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    @Test(arguments: [(500, 436, 218), (4000, 3936, 1000)])
    func theNumberOfClientsIsWhatTheLimitOnOpenFilesAllowsHere(descriptors: Int, tasks: Int, threads: Int) async throws
    {
        let english = try await help(descriptors: descriptors)
        #expect(english.contains("default: \(tasks) here, from the limit on open files; \(threads) with threads"))
        let chinese = try await help(descriptors: descriptors, ["LANG": "zh_CN.UTF-8"])
        #expect(chinese.contains("\(tasks)") && chinese.contains("\(threads)"))
    }

    @Test func everyLimitIsThereWithItsDefault() async throws {
        let help = try await help(descriptors: 500)
        for part in [
            "--backlog <backlog> How many clients may queue until they are accepted (default: 4096, or what a socket that was passed on has).",
            "before it is closed; or off. (default: 5m)", "after the first signal. (default: 5s)",
            "up to four times as long; besides the kernel's buffers", "a stack of 256 KiB. (default: 65536)",
        ] {
            #expect(help.contains(part), "\(part)")
        }
    }

    @Test func theNumberThatTheHelpTellsIsTheOneThatHolds() async throws {
        let told = try await help(descriptors: 100).firstMatch(of: /default: (\d+) here/).flatMap { Int($0.1) }
        let limit = try #require(told)
        #expect((20...75).contains(limit))
        let launcher = ["sh", "-c", "ulimit -n 100 && exec \"$0\" \"$@\""]
        try await serving("--show", "none", launcher: launcher) { server in
            let served = try (0..<limit).map { _ in try server.client() }
            for client in served { #expect(try client.echo("hello") == "hello") }
            let next = try server.client()
            try next.send("hello")
            try await server.program.errors.line(with: "\(limit) clients, which is the limit")
            for _ in 0..<50 { for client in served { #expect(try client.echo("still") == "still") } }
            #expect(!next.hasNews)
            served[0].finish()
            #expect(try next.receive(5) == Array("hello".utf8))
        }
    }
}
