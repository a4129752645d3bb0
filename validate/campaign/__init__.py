"""The measuring kit: build and time our kernels, and clock the hardware, on any machine with an NVIDIA GPU and nvcc."""
