"""Many traces: the pure functions of `analysis`, over a process pool of this machine or a running Dask cluster."""
