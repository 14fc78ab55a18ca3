internal import CSockets

// Many sockets
//
// With a thousand clients that speak in turn, what an event needs has left the near caches by the time it is told: the
// socket, its task, the task's frames, each behind a pointer in the one before. Waiting for each of them in turn took about
// 0.7 µs of an echo. So while an event is told, what the following ones need is fetched: four events ahead the
// slot, three the socket, two the task, one the frames, so that each pointer has come before it is followed.
//
// Nothing is wrong when something else was fetched: a prefetch never fails, and never changes anything.

extension Registry {
    /// With fewer sockets than this all of it stays in the caches.
    private static let fewSockets = 256

    /// Fetches what the events after one will need.
    @inline(__always)
    func prefetch(_ events: UnsafeMutableBufferPointer<epoll_event>, after index: Int, of count: Int) {
        if slotCount > Self.fewSockets { prefetchMany(events, index, count) }
    }

    @inline(never)
    private func prefetchMany(_ events: UnsafeMutableBufferPointer<epoll_event>, _ index: Int, _ count: Int) {
        if index + 4 < count, let slot = slotAddress(events[index + 4].data.u64) { csockets_prefetch(slot, 16) }
        if index + 3 < count, let socket = socket(events[index + 3].data.u64) {
            // Its connection was made just before it, and mostly lies just before it.
            csockets_prefetch(socket.toOpaque() - 128, 256)
        }
        if index + 2 < count, let socket = socket(events[index + 2].data.u64)?.takeUnretainedValue() {
            let waiting = socket.receiving.peek
            if waiting == socket.servedWord {
                csockets_prefetch(UnsafeRawPointer(bitPattern: waiting), 320)
            } else if let called = Waiter.called(in: waiting) {
                csockets_prefetch(called, 128)
            }
        }
        if index + 1 < count, let task = waitingTask(events[index + 1].data.u64) {
            RuntimeLayout.prefetchFrame(of: task)
        }
    }

    /// The task that waits to receive, if it is the one that `serve` runs for the socket: a continuation without a box is its
    /// task's address (see RuntimeLayout.swift). Safety: that task goes on, and ends, on this thread only.
    private func waitingTask(_ tag: UInt64) -> UnsafeRawPointer? {
        guard let socket = socket(tag)?.takeUnretainedValue() else { return nil }
        let task = socket.receiving.peek
        return task == socket.servedWord ? UnsafeRawPointer(bitPattern: task) : nil
    }
}
