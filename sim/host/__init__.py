"""Around the kernels (simpy): the host and its link (`model`), what it calls (`timeline`), how kernels share the SMs
(`device`), the L2 between kernels (`l2`), and the figures of a finished time line (`metrics`)."""
