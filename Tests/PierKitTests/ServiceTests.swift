@testable import PierKit
import Testing
import TestSupport

/// What the services send, byte by byte.
@Suite(.inTurn) struct ServiceTests {
    @Test func theCharacterGeneratorRotatesTheNinetyFivePrintableCharacters() {
        let lines = String(decoding: Chargen.lines, as: UTF8.self).split(separator: "\r\n").map { Array($0.utf8) }
        #expect(Chargen.lines.count == 95 * 74)
        #expect(lines.count == 95)
        for (row, line) in lines.enumerated() {
            #expect(line == (0..<72).map { UInt8(32 + (row + $0) % 95) })
        }
    }

    @Test(arguments: [
        (0, "Thursday, January 1, 1970 00:00:00-UTC"), (1_795_363_509, "Sunday, November 22, 2026 16:05:09-UTC"),
        (951_782_399, "Monday, February 28, 2000 23:59:59-UTC"),
        (951_782_400, "Tuesday, February 29, 2000 00:00:00-UTC"),
        (4_107_542_399, "Sunday, February 28, 2100 23:59:59-UTC"),
        (4_107_542_400, "Monday, March 1, 2100 00:00:00-UTC"),
        (1_798_761_599, "Thursday, December 31, 2026 23:59:59-UTC"), (-1, "Wednesday, December 31, 1969 23:59:59-UTC"),
    ])
    func theTimeOfDayIsInTheFirstFormOfItsRFC(seconds: Int, line: String) {
        #expect(String(decoding: Daytime.line(at: WallClock(seconds: seconds)), as: UTF8.self) == line + "\r\n")
    }
}
