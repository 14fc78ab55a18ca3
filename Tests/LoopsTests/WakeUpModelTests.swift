import TestSupport
import Testing

// A processor with late writes
//
// The tests run on machines that reorder little, so the protocol of `Side` is also run in a model that reorders as ARM may.
// A thread is a list of steps. A write does not take effect at once: it is pending, and the thread goes on reading. A
// read-modify-write operation reads at once and writes later (a pair of exclusive load and store). If another thread's write
// to the same place comes between, the exclusive store fails: the thread goes back to the operation and forgets what it read
// after it. Every order of the steps and the late writes is tried, once for each state that is reached.

/// What the orderings promise in the model.
private enum Order {
    /// Takes effect in any order.
    case relaxed
    /// The thread's earlier writes take effect first.
    case release
    /// As `release`; and a later sequentially consistent read waits until it has taken effect.
    case consistent
}

/// A step of a thread. A place is a number, and so is a register.
private enum Step {
    /// Writes `to` to a place if it holds `from`; the register holds what was found.
    case exchange(Int, from: Int, to: Int, Order, into: Int)
    /// Adds a mark, or takes the waiter out; the register holds what was found.
    case mark(Int, Int, into: Int)
    case store(Int, Int, Order)
    case load(Int, Order, into: Int)
    /// Goes to a step if the register holds a value.
    case branch(Int, is: Int, to: Int)
    case jump(Int)
    /// Takes no effect before the thread's writes did: what follows depends on their success.
    case wake
    case sleep
}

private let waiter = 100

private struct ModelThread: Hashable {
    struct Write: Hashable {
        let place: Int
        let value: Int
        let isExclusive: Bool
        let releases: Bool
        let isConsistent: Bool
        /// Where to go back to when an exclusive write fails.
        let step: Int
        let registers: [Int]
    }
    var step = 0
    var registers = [0, 0, 0]
    var pending: [Write] = []
    var sleeps = false
}

private struct Machine: Hashable {
    var memory: [Int]
    var threads: [ModelThread]
    var isWoken = false

    /// All states that one step of one thread, or one late write, leads to.
    func next(_ programs: [[Step]]) -> [Machine] {
        var states: [Machine] = []
        for (index, thread) in threads.enumerated() {
            for number in thread.pending.indices {
                if let state = committing(number, of: index) { states.append(state) }
            }
            guard !thread.sleeps, programs[index].indices.contains(thread.step) else { continue }
            if let state = stepping(index, programs[index][thread.step]) { states.append(state) }
        }
        return states
    }

    private func committing(_ number: Int, of index: Int) -> Machine? {
        let write = threads[index].pending[number]
        let earlier = threads[index].pending[..<number]
        // Writes to one place keep their order, and a releasing one comes after all earlier ones.
        if write.releases && !earlier.isEmpty || earlier.contains(where: { $0.place == write.place }) { return nil }
        var state = self
        state.threads[index].pending.remove(at: number)
        state.memory[write.place] = write.value
        for other in state.threads.indices where other != index {
            let lost = state.threads[other].pending.firstIndex { $0.isExclusive && $0.place == write.place }
            guard let lost else { continue }
            let failed = state.threads[other].pending[lost]
            state.threads[other].step = failed.step
            state.threads[other].registers = failed.registers
            state.threads[other].sleeps = false
            state.threads[other].pending.removeSubrange(lost...)
        }
        return state
    }

    private func stepping(_ index: Int, _ step: Step) -> Machine? {
        var state = self
        let thread = threads[index]
        var after = thread
        after.step += 1
        switch step {
        case .branch(let register, let value, let target):
            if thread.registers[register] == value { after.step = target }
        case .jump(let target): after.step = target
        case .wake:
            guard thread.pending.isEmpty else { return nil }
            state.isWoken = true
        case .sleep: after.sleeps = true
        case .store(let place, let value, let order):
            after.pending.append(
                ModelThread.Write(
                    place: place, value: value, isExclusive: false, releases: order != .relaxed,
                    isConsistent: order == .consistent, step: 0, registers: []))
        case .load(let place, let order, let register):
            if order == .consistent, thread.pending.contains(where: \.isConsistent) { return nil }
            // The thread's own late write is seen by itself.
            after.registers[register] = thread.pending.last { $0.place == place }?.value ?? memory[place]
        case .exchange(let place, let from, let to, let order, let register):
            guard let found = found(place, thread) else { return nil }
            after.registers[register] = found
            if found == from { after.pending.append(late(place, to, order, thread)) }
        case .mark(let place, let mark, let register):
            guard let found = found(place, thread) else { return nil }
            after.registers[register] = found
            after.pending.append(late(place, found == waiter ? 0 : found | mark, .release, thread))
        }
        state.threads[index] = after
        return state
    }

    /// What an exclusive load finds; nil while the thread's own write to the place is pending.
    private func found(_ place: Int, _ thread: ModelThread) -> Int? {
        thread.pending.contains { $0.place == place } ? nil : memory[place]
    }

    private func late(_ place: Int, _ value: Int, _ order: Order, _ thread: ModelThread) -> ModelThread.Write {
        ModelThread.Write(
            place: place, value: value, isExclusive: true, releases: order != .relaxed,
            isConsistent: order == .consistent, step: thread.step, registers: thread.registers)
    }
}

/// The states in which nothing more happens.
private func ends(of programs: [[Step]], memory: [Int]) -> Set<Machine> {
    var seen: Set<Machine> = []
    var ends: Set<Machine> = []
    var left = [Machine(memory: memory, threads: programs.map { _ in ModelThread() })]
    while let state = left.popLast() {
        guard seen.insert(state).inserted else { continue }
        let next = state.next(programs)
        if next.isEmpty { ends.insert(state) } else { left += next }
    }
    return ends
}

/// The word of a `Side`, and what else the two threads share: a flag that says that the wait is over.
private let word = 0
private let flag = 1

/// Whether a waiter sleeps though the other thread has come to its end without resuming it.
private func losesAWakeUp(_ waiting: [Step], _ ending: [Step], word start: Int = 0) -> Bool {
    let ends = ends(of: [waiting, ending], memory: [start, 0])
    // The waiter slept and was woken in some order, and in another found that it need not sleep: the model does reorder.
    #expect(ends.contains { $0.threads[0].sleeps && $0.isWoken })
    #expect(ends.contains { !$0.threads[0].sleeps })
    return ends.contains { $0.threads[0].sleeps && !$0.isWoken }
}

/// `Side.install` and a look at the flag; then sleep, or take the waiter back. Readiness ends the wait at once.
private func waitingSteps(looking order: Order) -> [Step] {
    [
        .exchange(word, from: 0, to: waiter, .consistent, into: 0),
        .branch(0, is: 0, to: 8),
        .exchange(word, from: 1, to: 0, .release, into: 0),
        .branch(0, is: 1, to: 15),
        .exchange(word, from: 2, to: 0, .release, into: 0),
        .exchange(word, from: 3, to: 0, .release, into: 0),
        .branch(0, is: 3, to: 15),
        .jump(0),
        .load(flag, order, into: 1),
        .branch(1, is: 0, to: 14),
        .exchange(word, from: waiter, to: 0, .release, into: 0),
        .branch(0, is: waiter, to: 15),
        // The other thread has taken the waiter, and resumes it.
        .sleep,
        .jump(15),
        .sleep,
    ]
}

/// The wake-ups of `Side` in the model: what the comments in Side.swift say, and that the model sees what was wrong before.
@Suite(.inTurn) struct WakeUpModelTests {
    /// Sets the flag, and only reads the word unless a waiter is in it.
    private func look(setting flagOrder: Order, reading wordOrder: Order) -> [Step] {
        [
            .exchange(flag, from: 0, to: 1, flagOrder, into: 0),
            .load(word, wordOrder, into: 1),
            .branch(1, is: waiter, to: 4),
            .jump(8),
            .exchange(word, from: waiter, to: 0, .release, into: 1),
            .branch(1, is: waiter, to: 7),
            .jump(8),
            .wake,
        ]
    }

    /// Sets the flag, and leaves a mark or takes the waiter.
    private func mark(_ mark: Int, setting flagOrder: Order) -> [Step] {
        [
            .store(flag, 1, flagOrder),
            .mark(word, mark, into: 1),
            .branch(1, is: waiter, to: 4),
            .jump(5),
            .wake,
        ]
    }

    @Test func aCancellationThatOnlyReadsTheWordIsLost() {
        // The runtime cancels a task, and tells whether it is cancelled, by relaxed accesses.
        #expect(losesAWakeUp(waitingSteps(looking: .relaxed), look(setting: .relaxed, reading: .consistent)))
        #expect(losesAWakeUp(waitingSteps(looking: .relaxed), look(setting: .consistent, reading: .consistent)))
    }

    @Test(arguments: [0, 2]) func aCancellationThatLeavesAMarkIsNeverLost(start: Int) {
        let loses = losesAWakeUp(
            waitingSteps(looking: .relaxed), mark(2, setting: .relaxed), word: start)
        #expect(!loses)
    }

    @Test func aCloseThatIsOnlyAcquireAndReleaseIsLost() {
        #expect(losesAWakeUp(waitingSteps(looking: .consistent), look(setting: .release, reading: .consistent)))
    }

    @Test func aCloseThatIsSequentiallyConsistentIsNeverLost() {
        let loses = losesAWakeUp(waitingSteps(looking: .consistent), look(setting: .consistent, reading: .consistent))
        #expect(!loses)
    }

    /// A bell whose ringer writes a field first, and a waiter that looks at the field when readiness ends its wait.
    private func ringer(alwaysWrites: Bool) -> [Step] {
        let ring: [Step] = [.mark(word, 1, into: 1), .branch(1, is: waiter, to: 6), .jump(7), .wake]
        // Before: readiness that is there already is not written again.
        let look: [Step] = [.load(word, .consistent, into: 1), .branch(1, is: 1, to: 7)]
        return [.store(flag, 1, .relaxed)] + (alwaysWrites ? [.jump(3), .jump(3)] : look) + ring
    }

    @Test(arguments: [true, false]) func aRingMustBeWrittenThoughOneIsRememberedAlready(alwaysWrites: Bool) {
        // Uses up the readiness that is there, looks at the field, and waits for the next ring.
        let waiting: [Step] = [
            .exchange(word, from: 1, to: 0, .release, into: 0),
            .load(flag, .relaxed, into: 1),
            .branch(1, is: 1, to: 6),
            .exchange(word, from: 0, to: waiter, .consistent, into: 0),
            .branch(0, is: 1, to: 6),
            .sleep,
        ]
        #expect(losesAWakeUp(waiting, ringer(alwaysWrites: alwaysWrites), word: 1) == !alwaysWrites)
    }
}
