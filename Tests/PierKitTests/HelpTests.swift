import ArgumentParser
@testable import PierKit
import Testing
import TestSupport

/// The page of help, rendered here from the parser's data.
@Suite(.inTurn) struct HelpTests {
    @Test(.enabled(if: Language.current == .english, "the locale is Chinese"), arguments: [60, 80, 100, 200])
    func inEnglishItIsWhatTheParserSaysAndThenTheExamples(columns: Int) throws {
        let root = try #require(HelpPage(nil)).rendered(columns: columns)
        #expect(root.hasPrefix(Pier.helpMessage(columns: columns)))
        for verb in Pier.verbs {
            let page = try #require(HelpPage(verb)).rendered(columns: columns)
            let parsers = Pier.helpMessage(for: verb, columns: columns)
            #expect(page.hasPrefix(parsers))
            let rest = page.dropFirst(parsers.count).split(separator: "\n").map(String.init)
            #expect(rest == ["EXAMPLES:"] + verb.examples.map { "  \($0.line)" })
        }
    }

    @Test func everyKeyBehindAQuestionMarkIsAFlagOfItsVerb() throws {
        let all: [(any Verb.Type, [String])] = [
            (Serve.self, Serve.keys), (Connect.self, Connect.keys), (Listen.self, Listen.keys),
            (RelayVerb.self, RelayVerb.listenKeys), (RelayVerb.self, RelayVerb.targetKeys),
        ]
        for (verb, keys) in all {
            let page = try #require(HelpPage(verb)).rendered(columns: 80)
            for key in keys { #expect(page.contains(" --\(key) ")) }
            #expect(page.contains(keys.last ?? "-"))
        }
    }

    @Test(arguments: [
        ("一二三四五六七八九十", 8, "一二三\n四五六\n七八九十"), ("一二三，四五六", 8, "一二\n三，四\n五六"), ("一二（三四", 7, "一二\n（三四"),
        ("用 TCP 连接", 8, "用 TCP\n连接"), ("用TCP连接", 6, "用TCP\n连接"), ("aaa bbb", 7, "aaa bbb"),
        ("aaa bbb c", 7, "aaa\nbbb c"),
        ("aaaaaaaa b", 4, "aaaaaaaa\nb"), ("a\n\nb", 9, "a\n\nb"), ("", 5, ""),
    ])
    func linesAreBrokenAtSpacesAndBesideWideCharacters(text: String, columns: Int, lines: String) {
        #expect(wrapped(text, to: columns) == lines)
        #expect(wrapped(text, to: columns + 2, indent: 2).split(separator: "\n").allSatisfy { $0.hasPrefix("  ") })
    }

    @Test(arguments: [("a", 1), ("已", 2), ("（", 2), ("é", 1), ("abc已收到", 9), ("", 0), ("가", 2), ("…", 1)])
    func aWideCharacterTakesTwoColumns(text: String, columns: Int) {
        #expect(text.columns == columns)
    }
}
