import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `make install`: the command, its manual pages and its completions, below any prefix.
@Suite(
    .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)), .enabled(if: Place.has("make"), "make is not installed"))
struct InstallTests {
    private static let root =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    private static let files = [
        "bin/pier", "share/bash-completion/completions/pier", "share/fish/vendor_completions.d/pier.fish",
        "share/man/man1/pier-connect.1", "share/man/man1/pier-listen.1", "share/man/man1/pier-relay.1",
        "share/man/man1/pier-serve.1",
        "share/man/man1/pier.1",
        "share/zsh/site-functions/_pier",
    ]

    private func make(_ target: String, _ folder: String) async throws {
        let words = ["make", "-C", Self.root, target, "PIER=\(Place.pier)", "PREFIX=/opt/x", "DESTDIR=\(folder)"]
        let make = try await outcome(of: words, environment: ["LC_ALL": "zh_CN.UTF-8"])
        #expect(make.status == 0, "\(make.errors)")
    }

    /// What is below a folder, and is no folder.
    private func found(_ folder: String) async throws -> [String] {
        let found = try await outcome(of: ["find", folder, "-type", "f", "-printf", "%P\n"])
        return found.output.split(separator: "\n").map(String.init).sorted()
    }

    /// Installs while `body` runs, and no longer.
    private func installed(_ body: (_ prefix: String) async throws -> Void) async throws {
        let folder = temporaryPath("root")
        do {
            try await make("install", folder)
            try await body(folder + "/opt/x")
        } catch {
            _ = try await outcome(of: ["rm", "-rf", folder])
            throw error
        }
        _ = try await outcome(of: ["rm", "-rf", folder])
    }

    @Test func everyFileIsThereAndGoesAwayAgain() async throws {
        let folder = temporaryPath("root")
        try await make("install", folder)
        #expect(try await found(folder) == Self.files.map { "opt/x/\($0)" }.sorted())
        let version = try await outcome(of: [folder + "/opt/x/bin/pier", "--version"])
        #expect(version.status == 0)
        try await make("uninstall", folder)
        #expect(try await found(folder) == [])
        _ = try await outcome(of: ["rm", "-rf", folder])
    }

    @Test func everyOptionOfTheHelpIsInTheManualAndInTheCompletions() async throws {
        try await installed { prefix in
            let scripts = [
                "share/bash-completion/completions/pier", "share/zsh/site-functions/_pier",
                "share/fish/vendor_completions.d/pier.fish",
            ].map { contents(of: "\(prefix)/\($0)") }
            for verb in ["serve", "connect", "listen", "relay"] {
                let help = try await pier(verb, "--help").output
                let options = help.matches(of: /--([a-z][a-z0-9-]+)/).map { String($0.1) }
                #expect(options.count > 7)
                let manual = contents(of: "\(prefix)/share/man/man1/pier-\(verb).1")
                for option in Set(options) {
                    let entry = manual.split(separator: "\n").first { line in
                        line.hasPrefix(".It ") && line.split(separator: " ").contains("-\(option)")
                    }
                    #expect(entry != nil, "\(option)")
                    for script in scripts { #expect(script.contains(option), "\(option)") }
                }
                for script in scripts { #expect(script.contains(verb)) }
                #expect(contents(of: "\(prefix)/share/man/man1/pier.1").contains("It Cm \(verb)"))
            }
            // They are English whatever the locale, and tell no number of the machine that made them.
            let all = try await found(prefix).filter { $0.hasPrefix("share/") }.map { contents(of: "\(prefix)/\($0)") }
            for text in all {
                #expect(!text.unicodeScalars.contains { $0.value >= 0x2e80 })
                #expect(!text.contains(" here, from"))
            }
        }
    }

    @Test(.enabled(if: Place.has("mandoc"), "mandoc is not installed"))
    func theManualPagesAreWellFormed() async throws {
        try await installed { prefix in
            for page in Self.files where page.hasSuffix(".1") {
                // Of matters of style one remains: that the other pages are not installed on this system.
                let lint = try await outcome(of: ["mandoc", "-Tlint", "\(prefix)/\(page)"])
                let found = lint.output.split(separator: "\n").filter { !$0.contains("referenced manual not found") }
                #expect(found.isEmpty, "\(found)")
            }
        }
    }

    @Test func theManualPagesCanBeRead() async throws {
        guard Place.has("man") else { return }
        try await installed { prefix in
            for page in Self.files where page.hasSuffix(".1") {
                let shown = try await outcome(of: ["man", "--warnings", "-l", "\(prefix)/\(page)"])
                #expect(shown.status == 0 && shown.errors.isEmpty, "\(shown.errors)")
                #expect(shown.output.contains("DESCRIPTION"))
            }
        }
    }

    @Test(arguments: [
        (["serve", "echo", "--mo"], "--model"), (["serve", ""], "echo discard chargen daytime"),
        (["connect", "Make"], "Makefile"), (["serve", "echo", "--model", "t"], "threads tasks"),
        (["connect", "x", "--duplex", "h"], "half"), (["listen", "x", "--ke"], "--keep --keep-alive"),
    ])
    func bashCompletes(words: [String], completions: String) async throws {
        let script = """
            . "$1"; shift
            COMP_WORDS=(pier "$@"); COMP_CWORD=$#; COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}
            _pier pier "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            echo "${COMPREPLY[*]}"
            """
        try await installed { prefix in
            let file = "\(prefix)/share/bash-completion/completions/pier"
            let answer = try await outcome(
                of: ["env", "-C", Self.root, "bash", "-c", script, "bash", file] + words)
            #expect(answer.output == completions + "\n", "\(answer.errors)")
        }
    }

    @Test func theOtherShellsCanReadTheirs() async throws {
        try await installed { prefix in
            for (shell, file) in [
                ("zsh", "share/zsh/site-functions/_pier"), ("fish", "share/fish/vendor_completions.d/pier.fish"),
            ] where Place.has(shell) {
                let check = try await outcome(of: [shell, "-n", "\(prefix)/\(file)"])
                #expect(check.status == 0 && check.errors.isEmpty, "\(check.errors)")
            }
        }
    }

    @Test func theManualOfAnUnknownVerbIsUsage() async throws {
        let manual = try await pier("manual", "nonsense")
        #expect(manual.status == 2)
        expectOneSentence(manual, "nonsense")
    }
}
