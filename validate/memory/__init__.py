"""The memory suite: microbenchmarks as real kernels, emulated and simulated, beside published measurements."""
