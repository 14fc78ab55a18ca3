internal import CSockets

/// The task that runs now, as far as a wait must know it; valid only while it runs.
///
/// `withUnsafeCurrentTask` and `Task.isCancelled` say the same. But they are generic code that no module but their own can
/// specialise, and this is asked with every message.
package struct RunningTask {
    /// A number that no other running task has; 0 outside of tasks.
    package let number: UInt

    package static var current: RunningTask { RunningTask(number: UInt(bitPattern: csockets_current_task())) }

    /// Whether it was cancelled; outside of tasks nothing is.
    package var isCancelled: Bool {
        guard let task = UnsafeMutableRawPointer(bitPattern: number) else { return false }
        return csockets_is_cancelled(task) != 0
    }
}
