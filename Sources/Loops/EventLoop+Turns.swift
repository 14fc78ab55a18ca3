internal import CSockets
internal import DequeModule
internal import SocketCore
internal import Synchronization
internal import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

// A loop's turns, one after the other on its thread.

extension EventLoop {
    func run() {
        System.nameThread(name)
        if !preempts { System.letWakersFinish() }
        System.blockPipeSignal()
        csockets_set_current_loop(Unmanaged.passUnretained(self).toOpaque())
        let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: Self.eventsPerTurn)
        while !isClosing.load(ordering: .acquiring) {
            takeRemoteWork()
            runJobs(atMost: Self.jobsPerTurn)
            look(events)
            callAgain()
            fireTimers()
        }
        end()
        events.deallocate()
        csockets_set_current_loop(nil)
    }

    private func takeRemoteWork() {
        guard !remote.isEmpty else { return }
        remote.drain { work in
            switch work {
            case .job(let job): local.pointee.jobs.append(job)
            case .action(let action): action()
            }
        }
    }

    private func runJobs(atMost most: Int) {
        // The same object that the tasks prefer; with any other the runtime would enqueue each job again and again.
        let executor = asUnownedTaskExecutor()
        for _ in 0..<most {
            guard let job = local.pointee.jobs.popFirst() else { return }
            job.runSynchronously(on: executor)
            if local.pointee.looksNext { break }
        }
        local.pointee.looksNext = false
    }

    /// Asks the poller what is ready, sleeping only if there is nothing else to do.
    private func look(_ events: UnsafeMutableBufferPointer<epoll_event>) {
        var timeout: CInt = 0
        if local.pointee.jobs.isEmpty, local.pointee.called.isEmpty {
            isSleeping.store(true, ordering: .sequentiallyConsistent)
            // A push from now on rings; one from before now is seen here.
            if remote.isEmpty && !isClosing.load(ordering: .acquiring) {
                let next = local.pointee.timers.next
                timeout = next == .max ? -1 : pollTimeout(until: next, now: System.now)
            }
        }
        let count: Int
        do throws(Errno) {
            count = try System.epollWait(poller.rawValue, events, milliseconds: timeout, interposer: interposer)
        } catch {
            // EBADF, EFAULT and EINVAL would each be a bug of this file: no peer can cause one.
            preconditionFailure("epoll_wait: \(error)")
        }
        isSleeping.store(false, ordering: .relaxed)
        local.pointee.now = System.now
        for index in 0..<count {
            local.pointee.registry.prefetch(events, after: index, of: count)
            let event = events[index]
            if event.data.u64 == Self.alarmTag { continue }
            // Read out of a class's field only for as long as it takes to find the socket: waking it may change the registry.
            guard let waitable = local.pointee.registry[event.data.u64] else { continue }
            local.pointee.isTelling = true
            waitable.becameReady(event.events)
            local.pointee.isTelling = false
        }
    }

    private func callAgain() {
        // Some of them: whoever else has become ready meanwhile is not to wait for all.
        for _ in 0..<Self.callsPerTurn {
            guard let waiter = local.pointee.called.popFirst() else { return }
            waiter.resume(.ready)
        }
    }

    private func fireTimers() {
        let now = local.pointee.now
        while let due = local.pointee.timers.popDue(now: now) {
            let again = due.fire(now: now)
            if again != .max { local.pointee.timers.arm(due, at: max(again, now + 1)) }
        }
    }
}

// MARK: - The end

extension EventLoop {
    /// Ends the loop: whatever waits in it fails with `.closed`, its jobs run out, and its thread is joined. Idempotent.
    ///
    /// Blocks the thread until the loop's jobs have run out; a second call returns at once. Called on the loop's own thread
    /// it cannot join; the thread then ends by itself. Corresponds to `pthread_join(3)`.
    public func close() { endThread(joins: !isCurrent) }

    /// Ends the loop as `close()` does, and does not wait for that: its thread ends by itself.
    func letGo() { endThread(joins: false) }

    private func endThread(joins: Bool) {
        isClosing.store(true, ordering: .sequentiallyConsistent)
        writeAlarm()
        guard !isJoined.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let thread = pthread_t(self.thread.load(ordering: .acquiring))
        if joins { pthread_join(thread, nil) } else { pthread_detach(thread) }
    }

    /// The last turns: everything that waits is woken (and sees that the loop is closed), and jobs run until none is left.
    private func end() {
        var isDrained = false
        while !isDrained {
            takeRemoteWork()
            for waitable in local.pointee.registry.all { waitable.loopClosed() }
            while let due = local.pointee.timers.popDue(now: .max) { _ = due.fire(now: .max) }
            // They see that the loop is closed.
            callAgain()
            isDrained = local.pointee.jobs.isEmpty && local.pointee.called.isEmpty
            // In turns here too: a task that yields may be waiting for what another thread hands in.
            runJobs(atMost: Self.jobsPerTurn)
        }
        // The heap keeps no owner alive. It is emptied and closed while owners still can take themselves out: what they push
        // now keeps them alive until it has run. A push that is refused would leave a freed owner in the heap.
        while let due = local.pointee.timers.popDue(now: .max) { _ = due.fire(now: .max) }
        local.pointee.timers.close()
        // Later pushes are refused from here on. Those that came before it are handed on.
        var jobs: [UnownedJob] = []
        remote.drain(closing: true) { work in
            switch work {
            case .job(let job): jobs.append(job)
            case .action(let action): action()
            }
        }
        for waitable in local.pointee.registry.removeAll() { waitable.loopClosed() }
        jobs += local.pointee.jobs
        local.pointee.jobs.removeAll()
        csockets_set_current_loop(nil)
        for job in jobs { globalConcurrentExecutor.enqueue(job) }
    }
}
