"""What Benchmarks/run is made of: a machine, servers, loads, cases, and a file of results."""
