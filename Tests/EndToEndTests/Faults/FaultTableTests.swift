import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `Documentation/faults.md` says which test holds each row. This holds it to that.
@Suite(.inTurnOnThreads) struct FaultTableTests {
    /// The rows of the groups that concern one machine, without what Pier does not have.
    private static let rows: Set<String> = {
        let counts = [("A", 13), ("B", 33), ("C", 10), ("D", 8), ("F", 9), ("G", 11)]
        let all = counts.flatMap { letter, count in (1...count).map { "\(letter)\($0)" } }
        return Set(all + ["A18", "A19", "F11"])
    }()

    @Test func everyRowIsThereOnce() throws {
        let found = try table().map(\.row)
        #expect(Set(found) == Self.rows)
        #expect(found.count == Self.rows.count)
    }

    @Test func everyTestThatIsNamedExists() throws {
        let sources = try testSources()
        var count = 0
        for (row, cell) in try table() {
            let names = cell.split(separator: "`", omittingEmptySubsequences: false).enumerated()
                .filter { $0.offset % 2 == 1 }.map { String($0.element) }
            #expect(!names.isEmpty || cell.contains("none:"), "\(row) names no test and gives no reason")
            for name in names {
                count += 1
                #expect(exists(name, in: sources), "\(row): there is no \(name)")
            }
        }
        #expect(count > Self.rows.count)
    }

    /// Whether a suite has the name, either as its text or as its type; or a test of that type.
    private func exists(_ name: String, in sources: [String]) -> Bool {
        if name.contains(":") {
            return sources.contains { $0.contains("\"\(name)\"") && $0.contains("@Suite(") }
        }
        let parts = name.split(separator: ".")
        return sources.contains { source in
            guard let suite = parts.first, source.contains("struct \(suite) {") else { return false }
            return parts.count == 1 || source.contains("func \(parts[1])(")
        }
    }

    /// The rows with the cell that names tests.
    private func table() throws -> [(row: String, tests: String)] {
        let text = contents(of: root + "/Documentation/faults.md")
        try #require(!text.isEmpty)
        return text.split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|").map { $0.drop { $0 == " " } }
            guard line.hasPrefix("| "), cells.count >= 4, let row = cells.first?.split(separator: " ").first else {
                return nil
            }
            let isRow = row.count >= 2 && "ABCDEFG".contains(row.prefix(1)) && Int(row.dropFirst()) != nil
            return isRow ? (String(row), String(cells[3])) : nil
        }
    }

    private let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(
        separator: "/")

    /// The text of each source file of the tests.
    private func testSources() throws -> [String] {
        var sources: [String] = []
        var directories = [root + "/Tests"]
        while let directory = directories.popLast() {
            let opened = try #require(opendir(directory))
            defer { closedir(opened) }
            while let entry = readdir(opened) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name.hasPrefix(".") { continue }
                if name.hasSuffix(".swift") {
                    sources.append(contents(of: "\(directory)/\(name)"))
                } else if CInt(entry.pointee.d_type) == DT_DIR {
                    directories.append("\(directory)/\(name)")
                }
            }
        }
        try #require(sources.count > 50)
        return sources
    }
}
