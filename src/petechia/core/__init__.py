"""What every room shares: geometry, echoes, kernels, method tables."""
