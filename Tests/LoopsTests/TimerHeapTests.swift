@testable import Loops
import TestSupport
import Testing

/// The heap against a plain list that is searched.
@Suite(.inTurn) struct TimerHeapTests {
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func aHeapDoesAsASortedListDoes(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        // Few moments, so that many are the same.
        let latest: UInt64 = seed % 2 == 0 ? 50 : 1_000_000
        let owners = (0..<100).map { _ in Timed() }
        var model: [Int: UInt64] = [:]
        var heap = TimerHeap()
        for _ in 0..<20_000 {
            let index = Int.random(in: 0..<owners.count, using: &random)
            let moment = UInt64.random(in: 0...latest, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1:
                heap.arm(owners[index], at: moment)
                // A later moment does not replace an earlier one: the owner is looked at by then, and puts itself back.
                model[index] = min(model[index] ?? .max, moment)
            case 2:
                heap.disarm(owners[index])
                model[index] = nil
            default:
                let due = heap.popDue(now: moment)
                guard let first = model.values.min(), first <= moment else {
                    #expect(due == nil)
                    break
                }
                guard let found = owners.firstIndex(where: { $0 === due }) else {
                    Issue.record("nothing was due at \(moment), though \(first) had come")
                    return
                }
                #expect(model[found] == first)
                model[found] = nil
            }
            guard heap.next == model.values.min() ?? .max else {
                Issue.record("the next is \(heap.next), and not \(String(describing: model.values.min()))")
                return
            }
        }
        for (index, owner) in owners.enumerated() { #expect((owner.heapIndex >= 0) == (model[index] != nil)) }
        var last: UInt64 = 0
        while let due = heap.popDue(now: .max) {
            let moment = owners.firstIndex { $0 === due }.flatMap { model.removeValue(forKey: $0) }
            #expect(moment.map { $0 >= last } == true)
            last = moment ?? last
        }
        #expect(model.isEmpty)
        #expect(heap.next == .max)
    }

    @Test func takingOutWhatIsNotInTheHeapDoesNothing() {
        var heap = TimerHeap()
        let (one, other) = (Timed(), Timed())
        heap.disarm(one)
        heap.arm(one, at: 5)
        heap.disarm(other)
        heap.disarm(one)
        heap.disarm(one)
        #expect(heap.next == .max)
        #expect(heap.popDue(now: .max) == nil)
    }

    @Test func anOwnerStandsInTheHeapOnce() {
        var heap = TimerHeap()
        let owner = Timed()
        for moment in [9, 5, 7] as [UInt64] { heap.arm(owner, at: moment) }
        #expect(heap.next == 5)
        #expect(heap.popDue(now: 4) == nil)
        #expect(heap.popDue(now: 5) === owner)
        #expect(heap.popDue(now: .max) == nil)
    }
}
