import PierKit

Pier.run()
