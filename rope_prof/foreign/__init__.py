"""Operations that others have written down: flashinfer-trace files, KernelBench tasks, kernels of Hugging Face's hub.

All read what lies on this disk; nothing is downloaded. Their code runs in this process, because it was asked for.
"""
