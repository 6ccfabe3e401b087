"""What the kernels run on: compilation, vectors, threads, memory."""
