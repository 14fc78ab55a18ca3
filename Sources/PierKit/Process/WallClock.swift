#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A moment as the clock on the wall has it, in seconds since 1970. It may be set back; waits are measured otherwise.
struct WallClock {
    let seconds: Int
    var nanoseconds = 0

    /// Now, by `clock_gettime(2)`.
    static var now: WallClock {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallClock(seconds: time.tv_sec, nanoseconds: time.tv_nsec)
    }

    /// The fields of the calendar in UTC; the names are English, whatever the locale.
    var utc: (weekday: String, month: String, day: Int, year: Int, hour: Int, minute: Int, second: Int) {
        var time = time_t(seconds)
        var fields = tm()
        gmtime_r(&time, &fields)
        return (
            Self.weekdays[Int(fields.tm_wday) % 7], Self.months[Int(fields.tm_mon) % 12], Int(fields.tm_mday),
            Int(fields.tm_year) + 1900, Int(fields.tm_hour), Int(fields.tm_min), Int(fields.tm_sec)
        )
    }

    private static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]
}
