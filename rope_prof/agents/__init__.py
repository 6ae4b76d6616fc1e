"""For agents that write kernels: the commands as tools of the Model Context Protocol. Measures and computes nothing."""
